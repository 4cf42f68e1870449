"""The store: one folder a step, whose `record.json`, written last, says that the step has happened."""

import json
import platform
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mckd_ray.errors import StoreError
from mckd_ray.plan.identity import digest_of
from mckd_ray.plan.steps import Step
from mckd_ray.storage import root_at
from mckd_ray.storage.files import as_json
from mckd_ray.storage.root import Place

RECORD = "record.json"
READ = "read.json"


@dataclass(frozen=True)
class Record:
    """What is known of a step that has happened. Times are seconds since the epoch, or their difference."""

    kind: str
    name: str
    digest: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, str]
    started: float
    ended: float
    facts: Mapping[str, Any]
    """What the step's own work reports: rows, steps, losses."""
    host: str
    read: Mapping[str, str]
    """The edition of each input, by role, that it was made from."""
    edition: str
    """Changes with the result where that may change without the identity: with answers that came only later."""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.started

    @property
    def unanswered(self) -> int:
        """How many inputs may get an answer if they are asked again."""
        return int(self.facts.get("unanswered", 0))


class Store:
    """Steps under one root, which all processes and nodes of a run share."""

    def __init__(self, root: Path | str) -> None:
        """A store at the folder or URI `root`, which need not exist yet. Raises StoreError for other URIs."""
        self.root = root_at(root)

    def place(self, key: str) -> Place:
        """The step with this key as every node understands it. What an earlier attempt left is there to build on."""
        return Place(self.root, f"steps/{key}")

    def folder(self, key: str) -> Path:
        """Where the files of the step with this key are written on this node."""
        return self.place(key).path

    def record(self, key: str) -> Record | None:
        """The record of a step that has happened, else None. Raises StoreError if there is one that cannot be read."""
        return self.records([key])[key]

    def records(self, keys: Iterable[str]) -> dict[str, Record | None]:
        """The record of each step, by its key."""
        places = {key: self.place(key) / RECORD for key in keys}
        texts = self.root.read_all([place.below for place in places.values()])
        return {key: _record(places[key], text) for key, text in zip(places, texts, strict=True)}

    def editions(self, step: Step) -> dict[str, str]:
        """The editions of a step's inputs as they are in the store now, by role."""
        records = self.records(need.key for need in step.inputs.values())
        return editions(step, records)

    def finish(
        self, step: Step, started: float, ended: float, facts: Mapping[str, Any], read: Mapping[str, str]
    ) -> Record:
        """Declare that `step` has happened: its files are all in place, and now its record is too.

        `read`: the editions of its inputs. `facts` may hold a digest of the `content`, where that can change.
        """
        inputs = {role: need.digest for role, need in step.inputs.items()}
        changing = [facts.get("content", ""), *(read[role] for role in sorted(read))]
        record = Record(
            step.kind,
            step.name,
            step.digest,
            step.settings,
            inputs,
            started,
            ended,
            facts,
            platform.node(),
            read,
            digest_of(changing) if any(changing) else "",
        )
        self.place(step.key).keep()
        self.root.confirm(step.key)
        (self.place(step.key) / RECORD).write(as_json(asdict(record)))
        return record

    def prepare(self, step: Step) -> dict[str, str]:
        """Make the folder of a step ready for its work, and return the editions of its inputs.

        What an earlier attempt left stays, unless it was made from other editions.
        """
        place, read = self.place(step.key), self.editions(step)
        earlier = (place / READ).read()
        if earlier is None or json.loads(earlier) != read:
            place.forget()
        place.path.mkdir(parents=True, exist_ok=True)
        (place / READ).write(as_json(read))
        return read

    def lock(self, key: str) -> AbstractContextManager[None]:
        """Hold the step for this process; others, in this run or another, wait.

        The death of the process lets go of it.
        """
        return self.root.lock(key)

    def busy(self, key: str) -> bool:
        """Whether a process holds the step now."""
        return self.root.busy(key)

    def check_writable(self) -> None:
        """Raise StoreError unless the root can be written, and has room."""
        self.root.check_writable()


def editions(step: Step, records: Mapping[str, Record | None]) -> dict[str, str]:
    """The editions of a step's inputs, by role, from the `records` of all of them, by key."""
    found = {role: records[need.key] for role, need in step.inputs.items()}
    return {role: "" if record is None else record.edition for role, record in found.items()}


def _record(place: Place, text: str | None) -> Record | None:
    try:
        return None if text is None else Record(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise StoreError(
            f"{place}: is not a step's record ({error}); delete the folder to run the step again."
        ) from error
