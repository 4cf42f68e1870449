"""The store: one folder a step, whose `record.json`, written last, says that the step has happened."""

import json
import os
import platform
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mckd_ray.errors import StoreError
from mckd_ray.plan.identity import digest_of
from mckd_ray.plan.steps import Step

RECORD = "record.json"
READ = "read.json"
LEAST_FREE_BYTES = 50 * 1024 * 1024


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
    """Steps under one root folder, which all processes and nodes of a run share."""

    def __init__(self, root: Path | str) -> None:
        """A store at `root`, which need not exist yet."""
        self.root = Path(root).absolute()

    def folder(self, key: str) -> Path:
        """Where the files of the step with this key are. What an earlier attempt left is there to build on."""
        return self.root / "steps" / key

    def record(self, key: str) -> Record | None:
        """The record of a step that has happened, else None. Raises StoreError if there is one that cannot be read."""
        path = self.folder(key) / RECORD
        try:
            return Record(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError) as error:
            raise StoreError(
                f"{path}: is not a step's record ({error}); delete the folder to run the step again."
            ) from error

    def editions(self, step: Step) -> dict[str, str]:
        """The editions of a step's inputs as they are in the store now, by role."""
        records = {role: self.record(need.key) for role, need in step.inputs.items()}
        return {role: "" if record is None else record.edition for role, record in records.items()}

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
        write_json(self.folder(step.key) / RECORD, asdict(record))
        return record

    def prepare(self, step: Step) -> dict[str, str]:
        """Make the folder of a step ready for its work, and return the editions of its inputs.

        What an earlier attempt left stays, unless it was made from other editions.
        """
        folder, read = self.folder(step.key), self.editions(step)
        marker = folder / READ
        if folder.exists() and (not marker.exists() or json.loads(marker.read_text(encoding="utf-8")) != read):
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(marker, read)
        return read

    @contextmanager
    def lock(self, key: str) -> Iterator[None]:
        """Hold the step for this process; others, in this run or another, wait.

        The death of the process lets go of it.
        """
        path = self._lock_file(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path):
            yield

    def busy(self, key: str) -> bool:
        """Whether a process holds the step now."""
        path = self._lock_file(key)
        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=0):
                return False
        except Timeout:
            return True

    def _lock_file(self, key: str) -> Path:
        return self.root / "locks" / f"{key}.lock"

    def check_writable(self) -> None:
        """Raise StoreError unless the root can be made and written, and has room."""
        probe = self.root / f".probe-{uuid.uuid4().hex}"
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"x")
            probe.unlink()
            free = shutil.disk_usage(self.root).free
        except OSError as error:
            raise StoreError(
                f"store.root '{self.root}' cannot be written ({error.strerror}); name a folder that can be."
            ) from error
        if free < LEAST_FREE_BYTES:
            raise StoreError(
                f"store.root '{self.root}' has {free // 2**20} MiB free, but {LEAST_FREE_BYTES // 2**20} are needed; "
                "free some or name another folder."
            )


def write_json(path: Path, value: object) -> None:
    """Write `value` as JSON to `path`, all or nothing."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False))


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path`, all or nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with temporary.open("w", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)
