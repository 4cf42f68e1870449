"""Two small plots as SVG, which any browser and any code host shows: points with spreads, and a map of cells."""

from collections.abc import Sequence
from html import escape
from pathlib import Path

ROW, LEFT, WIDTH = 22, 260, 760
_STYLE = "font-family='sans-serif' font-size='12'"


def points(path: Path, title: str, rows: Sequence[tuple[str, Sequence[float]]]) -> None:
    """A row for each name: its values as dots, their mean as a bar. Writes `path`."""
    values = [value for _, some in rows for value in some]
    low, high = min(values), max(values)
    span = (high - low) or 1.0

    def x(value: float) -> float:
        return LEFT + (value - low) / span * (WIDTH - LEFT - 70)

    parts = [_text(10, 18, title, weight="bold")]
    for number, (name, some) in enumerate(rows):
        y, mean = 44 + number * ROW, sum(some) / len(some)
        parts += [_text(LEFT - 12, y + 4, name, anchor="end"), _text(WIDTH - 50, y + 4, f"{mean:.1f}")]
        parts.append(f"<line x1='{LEFT}' x2='{WIDTH - 60}' y1='{y}' y2='{y}' stroke='#ddd'/>")
        parts += [f"<circle cx='{x(value):.1f}' cy='{y}' r='3.5' fill='#4477aa' opacity='.6'/>" for value in some]
        parts.append(f"<rect x='{x(mean) - 1.5:.1f}' y='{y - 8}' width='3' height='16' fill='#aa3377'/>")
    _write(path, parts, 50 + len(rows) * ROW)


def heatmap(path: Path, title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]) -> None:
    """A cell for each row and column: blue where its value is above 0, red where below. Writes `path`.

    The name of a column stands in two lines: its first word, and the rest.
    """
    largest = max((abs(value) for _, some in rows for value in some if value is not None), default=1.0) or 1.0
    wide = (WIDTH - LEFT) // max(1, len(columns))
    parts = [_text(10, 18, title, weight="bold")]
    for at, name in enumerate(columns):
        first, _, rest = name.partition(" ")
        parts += [
            _text(LEFT + at * wide + wide // 2, y, text, anchor="middle") for y, text in ((40, first), (55, rest))
        ]
    for number, (name, some) in enumerate(rows):
        y = 63 + number * ROW
        parts.append(_text(LEFT - 12, y + 15, name, anchor="end"))
        for at, value in enumerate(some):
            if value is None:
                continue
            colour = "#4477aa" if value > 0 else "#cc3311"
            strength = f"{abs(value) / largest:.2f}"
            box = f"x='{LEFT + at * wide}' y='{y}' width='{wide - 2}' height='{ROW - 2}'"
            parts.append(f"<rect {box} fill='{colour}' fill-opacity='{strength}'/>")
            parts.append(_text(LEFT + at * wide + wide // 2, y + 15, f"{value:+.1f}", anchor="middle"))
    _write(path, parts, 73 + len(rows) * ROW)


def _text(x: float, y: float, text: str, anchor: str = "start", weight: str = "normal") -> str:
    return f"<text x='{x}' y='{y}' text-anchor='{anchor}' font-weight='{weight}' {_STYLE}>{escape(text)}</text>"


def _write(path: Path, parts: Sequence[str], height: int) -> None:
    head = f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {height}' width='{WIDTH}' height='{height}'>"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, "<rect width='100%' height='100%' fill='white'/>", *parts, "</svg>\n"]), "utf-8")
