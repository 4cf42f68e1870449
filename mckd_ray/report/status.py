"""How far a run is, from its plan and the store alone: in its own terminal, in another one, or on another machine."""

import json
import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mckd_ray.errors import DataError
from mckd_ray.plan.store import Record, Store
from mckd_ray.runner.perform import ERROR
from mckd_ray.runner.progress import read_progress
from mckd_ray.runner.run import PLAN
from mckd_ray.storage.root import Place
from mckd_ray.tasks import TASKS

_LINES = (
    (r"(?:train|relabel) (\S+ stage \d+)(?: ([A-Z]|\d+)\b)?.*", r"\1|\2"),
    (r"labels (\d+) ([\w-]+).*", r"\2 labels \1|"),
    (r"quality of (.+ labels(?: \d+)?).*", r"\1|"),
    (r"(?:pre)?train (?:the )?(\S+).*", r"\1|"),
    (r"label (?:\S+ )?by (?:the )?(\S+).*", r"\1|"),
    (r"evaluate (\S+) on .*", r"\1|"),
    (r"gold.*", r"corpus|"),
)
"""From the name of a step to what it is a part of, and to its partition: all seeds of that are one line."""


class Watched:
    """A run, seen from outside. What it has read of steps that have happened, it does not read again."""

    def __init__(self, name: str, steps: Sequence[Mapping[str, Any]], store: Store) -> None:
        """The run called `name`, of these steps as the plan has them."""
        self._name, self._steps, self._store = name, steps, store
        self._records: dict[str, Record] = {}

    def now(self, failed: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Each step, and the lines that they add up to.

        `failed`: why, by key, for the steps of this run that did; None: by what a step has left, maybe of another run.
        """
        left = [step["key"] for step in self._steps if not self._complete(step["key"])]
        self._records |= {key: record for key, record in self._store.records(left).items() if record is not None}
        steps = [self._step(step, failed) for step in self._steps]
        return {
            "run": self._name,
            "done": sum(step["state"] == "done" for step in steps),
            "seconds_left": seconds_left(steps),
            "lines": lines_of(steps),
            "steps": steps,
        }

    def _complete(self, key: str) -> bool:
        """Whether the step has happened, and nothing of it will be asked again."""
        return key in self._records and not self._records[key].unanswered

    def _step(self, step: Mapping[str, Any], failed: Mapping[str, str] | None) -> dict[str, Any]:
        key = step["key"]
        named = {"name": step["name"], "key": key, "kind": step["kind"]}
        if not self._complete(key) and self._store.busy(key):
            return {**named, "state": "running", **_progress(self._store.place(key))}
        if key in self._records:
            record = self._records[key]
            return {**named, "state": "done", "seconds": record.seconds, **_score(step["settings"], record)}
        reason = _last_words(self._store.place(key)) if failed is None else failed.get(key)
        return {**named, "state": "waiting"} if reason is None else {**named, "state": "failed", "note": reason}


def status(place: Place) -> dict[str, Any]:
    """How far the run at `place` is. Raises DataError if there is no run."""
    text = (place / PLAN).read()
    if text is None:
        raise DataError(f"{place}: is not the folder of a run; give one such as runs/demo, which `mckd run` makes.")
    # A run's folder lies in its store, which another machine may have elsewhere.
    return Watched(place.name, json.loads(text)["steps"], Store(place.root.uri)).now()


def _last_words(place: Place) -> str | None:
    """The last line of what ended the step, if something did."""
    error = (place / ERROR).read()
    return None if error is None else error.strip().splitlines()[-1]


def _score(settings: Mapping[str, Any], record: Record) -> dict[str, Any]:
    """The score, in percent, that an evaluation found, and on which split."""
    scores = record.facts.get("scores") if record.kind == "evaluate" else None
    return {"score": scores[TASKS[settings["task"]].primary], "split": settings["split"]} if scores else {}


def _progress(place: Place) -> dict[str, Any]:
    found = read_progress(place)
    if found is None or not found.total:
        return {}
    return {"at": found.done, "of": found.total, "seconds_left": found.seconds_left, "note": found.note}


def seconds_left(steps: Sequence[Mapping[str, Any]]) -> float | None:
    """An estimate, if as many steps go on running at a time as do now; None before there is one.

    A step that has not begun takes what those of its kind took on average.
    """
    took: dict[str, list[float]] = {}
    for step in steps:
        if step["state"] == "done":
            took.setdefault(step["kind"], []).append(step["seconds"])
    work = []
    for step in steps:
        if step["state"] in ("running", "waiting"):
            mean = statistics.fmean(took[step["kind"]]) if step["kind"] in took else None
            left = step.get("seconds_left")
            work.append(mean if left is None else left)
    running = sum(step["state"] == "running" for step in steps)
    return None if not running or None in work else sum(one for one in work if one is not None) / running


def line_of(name: str) -> tuple[str, str]:
    """What the step called `name` is a part of, and the partition that it is about, if it is about one."""
    for pattern, line in _LINES:
        if (match := re.fullmatch(pattern, name)) is not None:
            what, _, partition = match.expand(line).partition("|")
            return what, partition
    return name, ""


def lines_of(steps: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line a stage and partition, and one for each system, in the order of the plan."""
    lines: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for step in steps:
        lines.setdefault(line_of(step["name"]), []).append(step)
    return [_line(what, partition, some) for (what, partition), some in lines.items()]


def _line(what: str, partition: str, steps: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    states = [step["state"] for step in steps]
    state = next((one for one in ("failed", "running", "waiting") if one in states), "done")
    running = [step for step in steps if step["state"] == "running"]
    left = [step["seconds_left"] for step in running if step.get("seconds_left") is not None]
    splits = [step["split"] for step in steps if "split" in step]
    split = "test" if "test" in splits else next(iter(splits), None)
    scores = [step["score"] for step in steps if step.get("split") == split and "score" in step]
    return {
        "what": what,
        "partition": partition,
        "state": state,
        "steps": len(steps),
        "done": states.count("done") + sum(step["at"] / step["of"] for step in running if "of" in step),
        "note": _note(steps, running),
        "score": statistics.fmean(scores) if scores else None,
        "split": split,
        "seconds": sum(step["seconds"] for step in steps if step["state"] == "done"),
        "seconds_left": max(left, default=None),
    }


def _note(steps: Sequence[Mapping[str, Any]], running: Sequence[Mapping[str, Any]]) -> str:
    """What failed and why, or what runs and how far it is."""
    failure = next((step["note"] for step in steps if step["state"] == "failed"), None)
    if failure is not None or not running:
        return failure or ""
    first = running[0]
    far = f" {first['at']:,}/{first['of']:,}" if "of" in first else ""
    said = f", {first['note']}" if first.get("note") else ""
    others = f"; {len(running) - 1} more" if len(running) > 1 else ""
    return f"{first['kind']}{far}{said}{others}"
