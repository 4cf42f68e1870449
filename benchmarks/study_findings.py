"""What the study has found, by step: in the store, or kept in benchmarks/study/ from a store that is gone.

Kept are scores, on test with each input's value, but no models and no labels: tables and tests can be made anew from
them, and the study goes on where it was on another machine. What is kept is known by the digests of its steps, so what
would come out differently today is not found there.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from study_agreement import agreement, pairs
from study_arms import Cell
from study_errors import TEACHER, Changes, PoolTables, changes, error_kinds

from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store

KEPT = Path(__file__).with_name("study")
SCHEMA = pa.schema(
    {
        "key": pa.string(),
        "name": pa.string(),
        "scores": pa.map_(pa.string(), pa.float64()),
        "values": pa.map_(pa.string(), pa.float32()),
    }
)

Count = Callable[[Cell, PoolTables], dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Found:
    """Scores, in percent, of what `name` says; `values`: by input, on test."""

    key: str
    name: str
    scores: dict[str, float]
    values: dict[str, float]


class Findings:
    """The study's scores, from a store and from what is kept."""

    def __init__(self, store: Store, kept: Path = KEPT) -> None:
        """What is in the files of the folder `kept`, and what `store` has beside it."""
        self._store, self._folder = store, kept
        tables = [pq.read_table(path).to_pylist(maps_as_pydicts="strict") for path in sorted(kept.glob("*.parquet"))]
        self._found = {row["key"]: Found(**row) for rows in tables for row in rows}

    def scored(self, step: Step) -> Found | None:
        """What an `evaluate` step came to; None if it has not happened."""
        if step.digest not in self._found and self._store.record(step.key) is not None:
            path = self._store.folder(step.key) / "evaluation.json"
            evaluation = json.loads(path.read_text(encoding="utf-8"))
            values = evaluation["values"] if step.settings["split"] == "test" else {}
            self._found[step.digest] = Found(step.digest, step.name, evaluation["scores"], values)
        return self._found.get(step.digest)

    def changes(self, cell: Cell) -> dict[str, Changes]:
        """By the name of each table of the pool's labels, what has become of the teacher's parts."""
        return {name: Changes(**found) for name, found in self._of_labels("changes", changes, cell).items()}

    def error_kinds(self, cell: Cell) -> dict[str, dict[str, float]]:
        """By the name of each table of the pool's labels, its errors of each kind in 100 inputs."""
        return self._of_labels("kinds", error_kinds, cell)

    def _of_labels(self, what: str, count: Count, cell: Cell) -> dict[str, dict[str, float]]:
        names = {f"{what} {step.digest}": name for name, step in cell.graph.quality.items()}
        unknown = [name for key, name in names.items() if key not in self._found and name != TEACHER]
        if any(self._store.record(cell.graph.quality[name].key) is not None for name in unknown):
            tables = PoolTables.read(cell, self._store)
            for name, scores in (count(cell, tables) if tables else {}).items():
                key = f"{what} {cell.graph.quality[name].digest}"
                self._found[key] = Found(key, name, scores, {})
        return {name: self._found[key].scores for key, name in names.items() if key in self._found}

    def agreement(self, cell: Cell, stage: int) -> float | None:
        """How well the two students of a stage agree on dev, in percent of the task's score; None if not known."""
        key = _pair_key(pairs(cell).get(stage, ()))
        if key not in self._found:
            value = agreement(cell, stage, self._store)
            if value is None:
                return None
            self._found[key] = Found(key, f"stage {stage}", {"agreement": value}, {})
        return self._found[key].scores["agreement"]

    def has(self, cell: Cell) -> bool:
        """Whether nothing of a cell is left to do."""
        agreed = all(self.agreement(cell, stage) is not None for stage in pairs(cell))
        return agreed and all(self.scored(step) is not None for step in _evaluated(cell))

    def keep(self, name: str, cells: Iterable[Cell]) -> None:
        """Write what is known of these cells into the file of this name, in place of what it held."""
        keys = dict[str, None]()
        for cell in cells:
            found = [self.scored(step) for step in _evaluated(cell)]
            keys |= dict.fromkeys(one.key for one in found if one)
            self.changes(cell)
            self.error_kinds(cell)
            for what in ("changes", "kinds"):
                keys |= dict.fromkeys(f"{what} {step.digest}" for step in cell.graph.quality.values())
            for stage, pair in pairs(cell).items():
                self.agreement(cell, stage)
                keys[_pair_key(pair)] = None
        rows = [asdict(self._found[key]) for key in keys if key in self._found]
        columns = [{**row, **{kind: list(row[kind].items()) for kind in ("scores", "values")}} for row in rows]
        if rows:
            self._folder.mkdir(exist_ok=True)
            pq.write_table(pa.Table.from_pylist(columns, SCHEMA), self._folder / f"{name}.parquet", compression="zstd")


def _evaluated(cell: Cell) -> list[Step]:
    """The steps that score a cell's systems, and the labels of its pool."""
    return [*(scored.step for scored in cell.graph.scored), *cell.graph.quality.values()]


def _pair_key(pair: Iterable[Step]) -> str:
    return f"agreement {' '.join(step.digest for step in pair)}"
