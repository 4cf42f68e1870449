"""The report of some runs as one HTML file that stands on its own, and the same in Markdown."""

import re
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from mckd_ray import __version__
from mckd_ray.report.analysis.run import Run
from mckd_ray.report.page.content import content
from mckd_ray.report.page.palette import variables
from mckd_ray.storage.files import write_text

HTML, MARKDOWN = "report.html", "report.md"
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~$])")


def write_report(runs: Sequence[Run], folder: Path) -> tuple[Path, Path]:
    """Write report.html and report.md about `runs` into `folder`, which is made; returns their paths."""
    html, markdown = render(runs)
    folder.mkdir(parents=True, exist_ok=True)
    paths = folder / HTML, folder / MARKDOWN
    for path, text in zip(paths, (html, markdown), strict=True):
        write_text(path, text)
    return paths


def render(runs: Sequence[Run]) -> tuple[str, str]:
    """The report as HTML, and as Markdown."""
    pages = [content(run) for run in runs]
    values = {"pages": pages, "version": __version__, "light": variables(dark=False), "dark": variables(dark=True)}
    html, markdown = _environment(autoescape=True), _environment(autoescape=False)
    return (
        html.get_template("report.html.jinja").render(values),
        re.sub(r"\n{3,}", "\n\n", markdown.get_template("report.md.jinja").render(values)),
    )


def _environment(autoescape: bool) -> Environment:
    environment = Environment(
        loader=PackageLoader("mckd_ray.report.page"),
        autoescape=autoescape,  # noqa: S701 - off for Markdown alone, whose template escapes by `plain`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plain"] = plain
    return environment


def plain(text: object) -> str:
    """`text` on one line of Markdown, in which nothing is markup."""
    return _SPECIAL.sub(r"\\\1", " ".join(str(text).split()))
