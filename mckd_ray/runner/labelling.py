"""A pool of Ray actors that label inputs with whatever model a step needs."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayActorError

from mckd_ray import student
from mckd_ray.config import LabellingResources, TeacherConfig
from mckd_ray.errors import StepError
from mckd_ray.records import Example, Gold, Label, read_rows, write_rows
from mckd_ray.runner.placement import actor_options
from mckd_ray.runner.progress import ProgressWriter
from mckd_ray.storage.root import Place
from mckd_ray.student.base import Generation, Labeller
from mckd_ray.tasks import TASKS
from mckd_ray.teacher import make_labeller

MOST_ATTEMPTS = 4
"""How often a chunk is given out before the step fails: the model itself may be what kills the actors."""
CHUNKS_IN_FLIGHT = 2
"""For each actor: one that it works on, and one that is already there."""
REVIVAL_POLL_S = 0.5


@dataclass(frozen=True)
class StudentLabeller:
    """A trained student as a labeller."""

    place: Place
    generation: Generation

    def load(self) -> Labeller:
        """Load the checkpoint."""
        return student.load(self.place.here(), self.generation)


@dataclass(frozen=True)
class TeacherLabeller:
    """A teacher that labels by itself. `gold` is given to a simulated teacher only, which corrupts it."""

    config: TeacherConfig
    task: str
    checkpoint: Place | None
    gold: tuple[Place, ...]

    def load(self) -> Labeller:
        """Make the teacher."""
        gold = {row.id: row.target for file in self.gold for row in read_rows(file.here(), Gold)}
        checkpoint = None if self.checkpoint is None else self.checkpoint.here()
        return make_labeller(self.config, TASKS[self.task], checkpoint, gold or None)


LabellerSource = StudentLabeller | TeacherLabeller


class LabellingActor:
    """Labels chunks of inputs; keeps the last model that it loaded."""

    def __init__(self, threads: int) -> None:
        """An actor without a model, whose models use `threads` threads."""
        student.use_threads(threads)
        self._source: LabellerSource | None = None
        self._labeller: Labeller | None = None

    def ready(self) -> None:
        """Answer that the actor is there."""

    def label(self, source: LabellerSource, examples: Sequence[Example]) -> tuple[list[Label], str]:
        """One label for each example, in order, and the engine that wrote them."""
        if self._labeller is None or source != self._source:
            self._labeller, self._source = source.load(), source
        return self._labeller.label(examples), self._labeller.engine


def start_pool(resources: LabellingResources) -> list[ActorHandle[Any]]:
    """The actors of a run. Ray starts an actor anew when its process or node dies."""
    options = {**actor_options(resources), "max_restarts": -1}
    remote: Any = ray.remote(LabellingActor)
    return [remote.options(**options).remote(max(1, int(resources.cpus))) for _ in range(resources.actors)]


@contextmanager
def own_pool(resources: LabellingResources) -> Iterator[list[ActorHandle[Any]]]:
    """Actors for one step alone, which go when it is done."""
    pool = start_pool(resources)
    try:
        yield pool
    finally:
        for actor in pool:
            ray.kill(actor)


def label_in_pool(
    pool: Sequence[ActorHandle[Any]],
    source: LabellerSource,
    examples: Sequence[Example],
    labeller: str,
    place: Place,
    chunk: int,
) -> tuple[list[Label], dict[str, int]]:
    """Label `examples` in chunks of `chunk` inputs of like length; the labels come back in the order of `examples`.

    With them, how many this attempt has labelled with which engine.
    Each chunk's answers are kept below `place` as they come, so that a later attempt asks only for the others. A
    chunk whose actor dies goes to another one, `MOST_ATTEMPTS` times at most; then StepError.
    """
    order = sorted(examples, key=lambda example: (len(example.tokens), len(example.text), example.id))
    chunks = {start // chunk: order[start : start + chunk] for start in range(0, len(order), chunk)}
    answers = place / f"answers-{chunk}"
    answers.here()
    files = {number: answers / f"{number:06d}.parquet" for number in chunks}
    left = {number: some for number, some in chunks.items() if not files[number].path.exists()}
    done = len(examples) - sum(map(len, left.values()))
    progress = ProgressWriter(place, len(examples), done)
    engines = Counter[str]()
    for number, (labels, engine) in _Work(left, pool, source):
        engines[engine] += len(labels)
        write_rows(files[number].path, Label, [replace(label, labeller=labeller) for label in labels])
        files[number].keep()
        done += len(labels)
        progress.update(done)
    by_id = {label.id: label for number in chunks for label in read_rows(files[number].path, Label)}
    return [by_id[example.id] for example in examples], {name: rows for name, rows in engines.items() if name}


class _Work:
    """Chunks on their way through the pool; iterating gives each chunk's number and labels with their engine."""

    def __init__(
        self, chunks: Mapping[int, Sequence[Example]], pool: Sequence[ActorHandle[Any]], source: LabellerSource
    ) -> None:
        self._chunks, self._source = chunks, ray.put(source)
        self._waiting = sorted(chunks, reverse=True)
        self._idle = [actor for actor in pool for _ in range(CHUNKS_IN_FLIGHT)]
        self._running: dict[ray.ObjectRef[Any], tuple[int | None, ActorHandle[Any]]] = {}
        """What each actor was asked: a chunk's number, or None for whether it is there again."""
        self._attempts = dict.fromkeys(chunks, 0)
        self._left = len(chunks)

    def __iter__(self) -> Iterator[tuple[int, tuple[list[Label], str]]]:
        while self._left:
            while self._waiting and self._idle:
                self._give_out(self._waiting.pop(), self._idle.pop(0))
            (reference,), _ = ray.wait(list(self._running), num_returns=1)
            number, actor = self._running.pop(reference)
            try:
                answer = ray.get(reference)
            except RayActorError as error:
                self._take_back(number, actor, error)
                continue
            self._idle.append(actor)
            if number is not None:
                self._left -= 1
                yield number, answer

    def _give_out(self, number: int, actor: ActorHandle[Any]) -> None:
        self._attempts[number] += 1
        self._running[actor.label.remote(self._source, self._chunks[number])] = (number, actor)

    def _take_back(self, number: int | None, actor: ActorHandle[Any], error: RayActorError) -> None:
        """Let another actor have the chunk, and ask this one until Ray has started it anew."""
        if number is not None:
            if self._attempts[number] >= MOST_ATTEMPTS:
                raise StepError(f"labelling gave up after its actor died {MOST_ATTEMPTS} times; the last time: {error}")
            self._waiting.append(number)
        time.sleep(REVIVAL_POLL_S)
        self._running[actor.ready.remote()] = (None, actor)
