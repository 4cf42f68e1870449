"""The colours of the report, each in a light and a dark form.

Drawings name the light form; `themed` replaces it by a CSS variable, so that one drawing serves both themes.
"""

LIGHT_AND_DARK = {
    "ink": ("#1d2433", "#e7eaf0"),
    "muted": ("#667085", "#98a2b3"),
    "line": ("#dfe3ea", "#343b4a"),
    "panel": ("#f6f7fa", "#1c212c"),
    "paper": ("#fffffe", "#13161d"),
    "teacher": ("#8b93a1", "#a3abba"),
    "base": ("#a9845a", "#c6a27a"),
    "sft": ("#c98a00", "#f0b93f"),
    "kd": ("#0b72b5", "#5cb6f0"),
    "mckd": ("#00946c", "#35cf9f"),
    "self": ("#b5629b", "#dd92c6"),
    "born-again": ("#cf5c00", "#ff9347"),
    "bad": ("#c62839", "#ff7b85"),
    "good": ("#1a8245", "#58cf86"),
}
"""Colours that stay apart for colour-blind readers (after Okabe and Ito), with greys beside them."""
KIND_COLOURS = {
    "corpus": "muted",
    "gold": "muted",
    "train": "kd",
    "label": "sft",
    "relabel": "mckd",
    "merge": "self",
    "evaluate": "teacher",
}
"""Of the kinds of step."""


def colour(name: str) -> str:
    """The light form of a colour, by its name or that of a system, such as mckd-3."""
    known = LIGHT_AND_DARK.get(name) or LIGHT_AND_DARK.get(name.rpartition("-")[0]) or LIGHT_AND_DARK["muted"]
    return known[0]


def themed(svg: str) -> str:
    """`svg` with each light colour replaced by the CSS variable of its name."""
    for name, (light, _) in LIGHT_AND_DARK.items():
        svg = svg.replace(light, f"var(--{name})")
    return svg


def variables(dark: bool) -> str:
    """The CSS variables of one theme."""
    return " ".join(f"--{name}: {forms[dark]};" for name, forms in LIGHT_AND_DARK.items())
