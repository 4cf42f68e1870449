"""Asking a prompted teacher: its engines live in Ray actors, each with many requests in flight."""

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import ray
from ray.actor import ActorHandle
from ray.exceptions import RayError

from mckd_ray.config import LabellingResources, TeacherConfig, TeacherResources
from mckd_ray.errors import MckdError, StepError
from mckd_ray.records import Answer, TrainingRow, read_rows
from mckd_ray.runner.placement import actor_options
from mckd_ray.runner.reports import root_cause
from mckd_ray.storage.root import Place
from mckd_ray.student.card import read_card
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.prompts import Prompts
from mckd_ray.teacher import make_engine, make_prompts, student_prompts
from mckd_ray.teacher.engine import Engine, Request

SLICE_S = 0.5
"""How long an engine works before it hands over what it has: so much is at risk when its process dies."""
CALLS_AHEAD = 2
"""For each engine: the call that it works on, and one that is already there."""


@dataclass(frozen=True)
class PromptedTeacher:
    """A prompted teacher as data: an actor makes the engine from it."""

    config: TeacherConfig
    resources: TeacherResources
    task: str
    labelled: Place
    """The labelled budget: all that its prompts may show."""
    general: Place
    """Gold of the general domain, whose names constrained answers may use."""
    checkpoint: Place | None
    """The model, where it has been trained here."""

    def rows(self) -> list[TrainingRow]:
        """The labelled budget."""
        return read_rows(self.labelled.here(), TrainingRow)

    def prompts(self) -> Prompts:
        """Its prompts."""
        rows = self.rows(), read_rows(self.general.here(), TrainingRow) if self.config.constrain != "none" else []
        labelled, known = ([(row.example, row.target) for row in some] for some in rows)
        return make_prompts(self.config, TASKS[self.task], labelled, known)

    def start(self) -> Engine:
        """Load the model."""
        model = "" if self.checkpoint is None else str(self.checkpoint.here())
        return make_engine(self.config, self.resources, self.prompts(), model)


@dataclass(frozen=True)
class PromptedStudent(PromptedTeacher):
    """A trained causal student that is asked as a teacher is, without shots."""

    place: Place

    @classmethod
    def of(cls, place: Place, resources: LabellingResources) -> "PromptedStudent":
        """The student at `place`. Raises ModelError if it is not a causal one."""
        folder = place.here()
        config, engines = student_prompts.as_teacher(folder, resources)
        return cls(config, engines, read_card(folder)["task"], place, place, None, place)

    def rows(self) -> list[TrainingRow]:
        """Nothing that its prompts may show."""
        return []

    def prompts(self) -> Prompts:
        """The prompts that it was trained on."""
        return student_prompts.StudentPrompts(read_card(self.place.here()))

    def start(self) -> Engine:
        """Load the student."""
        return student_prompts.start(self.place.here(), self.config, self.resources)


class EngineActor:
    """An engine in a process of its own."""

    def __init__(self, teacher: PromptedTeacher) -> None:
        """Nothing is loaded before the first call, so that an error in it is that of a call."""
        self._teacher = teacher

    @cached_property
    def _engine(self) -> Engine:
        return self._teacher.start()

    def start(self) -> tuple[str, int]:
        """Load the model; returns the engine's name, and how many requests it wants in flight."""
        return self._engine.name, self._engine.in_flight

    def work(self, requests: Sequence[Request]) -> list[Answer]:
        """See `Engine.work`."""
        return self._engine.work(requests, SLICE_S)


class Replicas:
    """The engines of one teacher. One that dies is replaced, and only its unanswered requests are asked again."""

    def __init__(self, teacher: PromptedTeacher) -> None:
        """Starts the actors; leave with `close`."""
        self._teacher = teacher
        self._restarts = 0
        self.engine = ""
        """The engine's name, once one has started."""
        self.started = math.inf
        """When that was, in seconds of the monotonic clock."""
        self._replicas = [_Replica(teacher) for _ in range(teacher.resources.replicas)]

    def ask(self, requests: Sequence[Request]) -> Iterator[list[Answer]]:
        """Answers as they come; each request once. Raises StepError if engines die too often."""
        waiting = deque(requests)
        while waiting or any(replica.held for replica in self._replicas):
            for replica in self._replicas:
                replica.give(waiting)
            calls = [call for replica in self._replicas for call in replica.calls]
            (done,), _ = ray.wait(calls, num_returns=1)
            replica = next(replica for replica in self._replicas if done in replica.calls)
            try:
                answers = replica.take(done)
            except RayError as error:
                waiting.extendleft(self._replace(replica, error))
            else:
                if not self.engine:
                    self.engine, self.started = replica.name, time.monotonic()
                if answers:
                    yield answers

    @property
    def restarts(self) -> int:
        """How many engines have been replaced."""
        return self._restarts

    def close(self) -> None:
        """End the actors."""
        for replica in self._replicas:
            ray.kill(replica.actor)

    def _replace(self, replica: "_Replica", error: RayError) -> list[Request]:
        """Put a new engine in the place of one that is dead or broken; returns its unanswered requests."""
        cause = root_cause(error)
        if isinstance(cause, MckdError):
            raise cause
        if self._restarts >= self._teacher.resources.max_restarts:
            raise StepError(
                f"the teacher's engine died {self._restarts + 1} times, more often than resources.teacher.max_restarts "
                f"({self._teacher.resources.max_restarts}) allows; its last words: {str(cause).strip()}"
            )
        self._restarts += 1
        ray.kill(replica.actor)
        self._replicas[self._replicas.index(replica)] = _Replica(self._teacher)
        return list(replica.held.values())


class _Replica:
    """One engine's actor, the calls on their way to it, and the requests that it has not answered."""

    def __init__(self, teacher: PromptedTeacher) -> None:
        resources = teacher.resources
        options = {
            **actor_options(resources),
            "runtime_env": {"env_vars": {"OMP_NUM_THREADS": str(max(1, int(resources.cpus)))}},
        }
        remote: Any = ray.remote(EngineActor)
        self.actor: ActorHandle[Any] = remote.options(**options).remote(teacher)
        self.name = ""
        self._room = 0
        self._start: ray.ObjectRef[Any] = self.actor.start.remote()
        self.calls: list[ray.ObjectRef[Any]] = [self._start]
        self.held: dict[str, Request] = {}

    def give(self, waiting: "deque[Request]") -> None:
        """Hand over as many waiting requests as there is room for, in as many calls as may be on their way."""
        while self.name and len(self.calls) < CALLS_AHEAD and (self.held or waiting):
            share = [waiting.popleft() for _ in range(min(self._room - len(self.held), len(waiting)))]
            self.held.update((request.key, request) for request in share)
            self.calls.append(self.actor.work.remote(share))

    def take(self, call: "ray.ObjectRef[Any]") -> list[Answer]:
        """What a call that has ended brought. Raises RayError."""
        self.calls.remove(call)
        result = ray.get(call)
        if call == self._start:
            self.name, self._room = result
            return []
        answers: list[Answer] = result
        for answer in answers:
            del self.held[answer.key]
        return answers
