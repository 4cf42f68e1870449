"""The space of a sweep: which settings may be searched, and the points of a grid or of random draws."""

import difflib
import itertools
import math
import random
from collections.abc import Iterator, Mapping
from typing import Any

from mckd_ray.config import ExperimentConfig
from mckd_ray.config_file import changed, setting_names
from mckd_ray.errors import ConfigError, nearest
from mckd_ray.search_config import Axis, SearchConfig
from mckd_ray.tasks import task_named

STAGES = "plan.stages"
WHERE = "search.space"
Point = Mapping[str, Any]
"""A value for each searched setting, by its dotted name."""

_RUN = "it says how the experiment is run and never changes its result, so all its values would score the same"
_MEASURED = "it changes what trials are scored on, so that their scores could not be compared"
_NOT_SEARCHED = {
    "name": _RUN,
    "store": _RUN,
    "resources": _RUN,
    "tracking": _RUN,
    "search": "it is the search itself",
    "student.engine": "it is chosen for its speed; all engines write the same labels, or nearly",
    "task": _MEASURED,
    "corpus": _MEASURED,
    "plan.seeds": "search.seeds sets the seeds of every point",
    "plan.systems": "it says what is compared after the search",
    "plan.evaluate": "it says what is compared after the search",
}
_SEARCHED = ("corpus.labelled", "corpus.pool", "corpus.general")
"""Parts of what is not searched that are, as they leave dev as it is."""
NEAREST = 3
"""A name that is not known is answered with at most so many that are like it."""


def search_of(config: ExperimentConfig) -> SearchConfig:
    """The checked search section of `config`. Raises ConfigError for what no sweep could do."""
    search = config.search
    if search is None:
        raise ConfigError(
            f"{config.name}: has no search section, so there is nothing to sweep; "
            "add one such as search: {space: {plan.stages: [1, 2, 3]}}."
        )
    if not search.space:
        raise ConfigError(f"{WHERE} is empty; name a setting and its values, such as plan.stages: [1, 2, 3].")
    metrics = task_named(config.task.kind).metrics
    if search.objective and search.objective not in metrics:
        raise ConfigError(
            f"search.objective is '{search.objective}', no metric of task {config.task.kind}."
            f"{nearest(search.objective, metrics)}"
        )
    if len(set(search.seeds)) < len(search.seeds):
        raise ConfigError(f"search.seeds names one twice: {', '.join(map(str, search.seeds))}; name each once.")
    for name, axis in search.space.items():
        _check_axis(config, name, axis)
    return search


def _check_axis(config: ExperimentConfig, name: str, axis: Axis) -> None:
    if name not in setting_names():
        raise ConfigError(f"{WHERE}: there is no setting '{name}'.{_instead_of(name)}")
    if reason := _refusal(name):
        raise ConfigError(f"{WHERE}: '{name}' cannot be searched: {reason}; leave it out.")
    if axis.interval is not None and config.search is not None and config.search.algorithm == "grid":
        raise ConfigError(
            f"{WHERE}: {name} has a continuous range, which has no grid; list its values, or set search.algorithm to "
            "random or optuna."
        )
    for value in axis.interval or axis.values:
        changed(config, {name: value}, WHERE)


def _instead_of(name: str) -> str:
    """The settings that may be meant, of those that can be searched."""
    known = [setting for setting in setting_names() if not _refusal(setting)]
    if below := [setting for setting in known if setting.startswith(f"{name}.")]:
        return f" It is a section; name one of {', '.join(below)}."
    called = [setting for setting in known if setting.endswith(f".{name}")]
    if close := called or difflib.get_close_matches(name, known, n=NEAREST):
        return f" Did you mean {' or '.join(repr(setting) for setting in close[:NEAREST])}?"
    return f" Settings of these can be searched: {', '.join(dict.fromkeys(map(_section, known)))}."


def _refusal(name: str) -> str:
    """Why the setting `name` cannot be searched; empty if it can."""
    if _is_part(name, _SEARCHED):
        return ""
    return next((reason for part, reason in _NOT_SEARCHED.items() if _is_part(name, [part])), "")


def _section(name: str) -> str:
    return next((part for part in _SEARCHED if _is_part(name, [part])), name.partition(".")[0])


def _is_part(name: str, parts: "list[str] | tuple[str, ...]") -> bool:
    return any(name == part or name.startswith(f"{part}.") for part in parts)


def size(search: SearchConfig) -> float:
    """How many points the whole space has; infinite where a range is continuous."""
    if any(axis.interval is not None for axis in search.space.values()):
        return math.inf
    return math.prod(len(axis.values) for axis in search.space.values())


def points(search: SearchConfig) -> list[Point]:
    """The points that a sweep tries: the grid, or random draws; at most `max_trials`.

    For optuna, which decides on the way, an example: as many random draws.
    """
    if search.algorithm == "grid" or (whole := size(search)) <= search.samples:
        found = _grid(search)
    else:
        found = itertools.islice(_draws(search), int(min(search.samples, whole)))
    return list(itertools.islice(found, search.max_trials))


def _grid(search: SearchConfig) -> Iterator[Point]:
    """All points; those that differ in their stages alone, and share a chain, stand together."""
    names = sorted(search.space, key=lambda name: name == STAGES)
    for values in itertools.product(*(search.space[name].values for name in names)):
        yield dict(zip(names, values, strict=True))


def _draws(search: SearchConfig) -> Iterator[Point]:
    """Random points, each once."""
    rng, seen = random.Random(f"search:{search.seed}"), set[str]()
    while True:
        point = {name: _draw(axis, rng) for name, axis in search.space.items()}
        if repr(point) not in seen:
            seen.add(repr(point))
            yield point


def _draw(axis: Axis, rng: random.Random) -> Any:
    if axis.interval is None:
        return rng.choice(axis.values)
    low, high = axis.interval
    return math.exp(rng.uniform(math.log(low), math.log(high))) if axis.loguniform else rng.uniform(low, high)
