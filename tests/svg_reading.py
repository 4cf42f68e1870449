"""Reading a plot back: the points and bars of its SVG in the units of its axes, by what its ticks say."""

import re
from collections.abc import Sequence

Point = tuple[float, float]
_TEXT = re.compile(r'<text style="([^"]*)" x="([-\d.]+)" y="([-\d.]+)"[^>]*>([^<]*)</text>')
_MARKER = re.compile(r'<use xlink:href="[^"]*" x="([-\d.]+)" y="([-\d.]+)"')
_BAR = re.compile(r'<path d="M ([-\d.]+) ([-\d.]+) \nL ([-\d.]+) [-\d.]+ \nL [-\d.]+ ([-\d.]+) \nL [^"]*z\n" clip-path')


LABEL_BELOW_TICK = 3.6
"""Pixels from a tick of the y axis down to the base line of its label."""


class Axes:
    """The linear scales of a plot, from the positions and texts of its ticks."""

    def __init__(self, svg: str) -> None:
        """The axes of `svg`, whose ticks are the lowest row of numbers and the column of numbers that end alike."""
        texts = [(style, float(x), float(y), text.replace("−", "-")) for style, x, y, text in _TEXT.findall(svg)]
        numbers = [(style, x, y, float(text)) for style, x, y, text in texts if re.fullmatch(r"-?\d+(\.\d+)?", text)]
        centred = [(x, y, value) for style, x, y, value in numbers if "text-anchor: middle" in style]
        lowest = max((y for _, y, _ in centred), default=0.0)
        self._x = _scale([(x, value) for x, y, value in centred if abs(y - lowest) < 1])
        self._y = _scale([(y, value) for style, _, y, value in numbers if "text-anchor: end" in style])

    def x(self, pixels: float) -> float:
        """A place on the x axis in its units."""
        return self._x[0] + self._x[1] * pixels

    def height(self, pixels: float) -> float:
        """A difference on the y axis in its units."""
        return abs(self._y[1] * pixels)

    def y(self, pixels: float) -> float:
        """A place on the y axis in its units."""
        return self._y[0] + self._y[1] * (pixels + LABEL_BELOW_TICK)


def _scale(pairs: Sequence[Point]) -> Point:
    """Offset and slope of the line through ticks: value = offset + slope x pixels."""
    if len(pairs) < 2:
        return 0.0, 0.0
    (first, a), (last, b) = pairs[0], pairs[-1]
    slope = (b - a) / (last - first)
    return a - slope * first, slope


def points(svg: str) -> list[Point]:
    """The markers of a plot in the units of its axes, in the order in which they were drawn."""
    axes = Axes(svg)
    return [(axes.x(float(x)), axes.y(float(y))) for x, y in _MARKER.findall(svg)]


def bars(svg: str) -> list[tuple[float, float, float]]:
    """Left, right (in pixels) and height (in the unit of the y axis) of each bar."""
    axes = Axes(svg)
    return [(float(x0), float(x1), axes.height(float(y0) - float(y1))) for x0, y0, x1, y1 in _BAR.findall(svg)]


def spans(svg: str) -> list[Point]:
    """Start and end of each horizontal bar in the unit of the x axis."""
    axes = Axes(svg)
    return [(axes.x(float(x0)), axes.x(float(x1))) for x0, _, x1, _ in _BAR.findall(svg)]
