"""A run as it lies in its folder and the store: its config, its plan, what has happened and what came out."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from mckd_ray.corpora.splits import draw
from mckd_ray.errors import DataError
from mckd_ray.plan.store import Record, Store
from mckd_ray.records import Example, Gold, Label, read_rows
from mckd_ray.runner.run import CONFIG, PLAN, RESULT
from mckd_ray.storage import place_at
from mckd_ray.storage.root import Place
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import Task


@dataclass(frozen=True)
class PlannedStep:
    """A step of the plan; `inputs` are keys by role."""

    kind: str
    name: str
    key: str
    settings: dict[str, Any]
    inputs: dict[str, str]


@dataclass(frozen=True)
class ScoredStep:
    """The step `key` measured `system`, trained with `seed`, on `split`."""

    system: str
    seed: int
    split: str
    key: str


class Run:
    """A run, finished or not. What has not happened is simply not there."""

    def __init__(self, folder: Path | str) -> None:
        """The run in `folder`, such as runs/demo, or at such a URI.

        Raises DataError if that is none, or one of an older version.
        """
        self.place = place_at(folder)
        plan = _read_json(self.place / PLAN)
        if plan is None:
            raise DataError(
                f"{folder}: is not the folder of a run; give one such as runs/demo, which `mckd run` makes."
            )
        if "scored" not in plan:
            raise DataError(
                f"{folder}/{PLAN}: does not say which step scored which system; it is of an older version of mckd. "
                f"Run `mckd run {folder}/{CONFIG}`: finished steps are reused."
            )
        self.folder, self.name = str(folder), self.place.name
        self.store = Store(self.place.root.uri)
        """A run's folder lies in its store, so both may have been moved."""
        self.steps = [PlannedStep(**step) for step in plan["steps"]]
        self.scored = [ScoredStep(**one) for one in plan["scored"]]
        self.quality: dict[str, str] = plan["quality"]
        """The key of the step that measured each label table of the pool, by the table's name."""
        self.config_text = (self.place / CONFIG).read() or ""
        self.config: dict[str, Any] = yaml.safe_load(self.config_text)
        self.result: dict[str, Any] | None = _read_json(self.place / RESULT)
        """What the last complete run left; None while there was none."""

    @property
    def task(self) -> Task:
        """The task."""
        return TASKS[self.config["task"]["kind"]]

    @cached_property
    def by_key(self) -> dict[str, PlannedStep]:
        """The steps by key."""
        return {step.key: step for step in self.steps}

    @cached_property
    def records(self) -> dict[str, Record]:
        """The records of the steps that have happened, by key."""
        found = self.store.records(step.key for step in self.steps)
        return {key: record for key, record in found.items() if record is not None}

    @property
    def missing(self) -> list[PlannedStep]:
        """The steps that have not happened."""
        return [step for step in self.steps if step.key not in self.records]

    @property
    def split(self) -> str:
        """The split that the report is about: test where it was scored."""
        splits = [one.split for one in self.scored]
        return "test" if "test" in splits or not splits else splits[0]

    def needs(self, keys: list[str]) -> list[PlannedStep]:
        """The steps `keys` and all that they stand on."""
        wanted = set(keys)
        for step in reversed(self.steps):
            if step.key in wanted:
                wanted.update(step.inputs.values())
        return [step for step in self.steps if step.key in wanted]

    def evaluation(self, key: str) -> dict[str, Any] | None:
        """What the evaluation step `key` left; None if it has not happened, or had no gold."""
        if key not in self.records:
            return None
        found: dict[str, Any] | None = _read_json(self.store.place(key) / "evaluation.json")
        return found

    def labels(self, key: str) -> dict[str, Label]:
        """The label table of the step `key`, which has happened, by id."""
        return {label.id: label for label in read_rows((self.store.place(key) / "labels.parquet").here(), Label)}

    def examples(self, split: str) -> dict[str, Example]:
        """The inputs of a split by id; empty before the corpus step has happened."""
        place = self._place("corpus")
        rows = [] if place is None else read_rows((place / f"{split}.parquet").here(), Example)
        return {one.id: one for one in rows}

    def gold(self, split: str) -> dict[str, str]:
        """The gold of a split by id; empty where there is none."""
        place = self._place("gold")
        rows = [] if place is None else read_rows((place / f"{split}.parquet").here(), Gold)
        return {one.id: one.target for one in rows}

    def _place(self, kind: str) -> Place | None:
        key = next((step.key for step in self.steps if step.kind == kind), None)
        return self.store.place(key) if key in self.records and key is not None else None


def sample(ids: list[str], most: int) -> list[str]:
    """At most `most` of `ids`, always the same, in the order given."""
    if len(ids) <= most:
        return ids
    chosen = set(draw(ids, most, lambda one: one, "report"))
    return [one for one in ids if one in chosen]


def _read_json(place: Place) -> Any:
    text = place.read()
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise DataError(f"{place}: is not JSON ({error}); run `mckd run` again to write it anew.") from error
