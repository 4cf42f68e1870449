"""How a step ended."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from mckd_ray.errors import MckdError
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Record, Store, editions

State = Literal["done", "reused", "failed", "skipped"]


@dataclass(frozen=True)
class Report:
    """How a step ended. `message` is the cause of a failure, in a sentence; times are in seconds."""

    digest: str
    state: State
    started: float
    seconds: float
    message: str = ""
    exit_status: int = 0

    @property
    def usable(self) -> bool:
        """Whether the step's result is in the store."""
        return self.state in ("done", "reused")


def reused(store: Store, step: Step) -> Report | None:
    """The report of a step that has happened before, else None.

    It must have read its inputs as they are now, and have left nothing to be asked again.
    """
    return _reused(step, store.records([step.key, *(need.key for need in step.inputs.values())]))


def _reused(step: Step, records: Mapping[str, Record | None]) -> Report | None:
    record = records[step.key]
    if record is None or record.unanswered or record.read != editions(step, records):
        return None
    return Report(step.digest, "reused", record.started, record.seconds)


def reports_of_done(store: Store, steps: Iterable[Step]) -> dict[str, Report]:
    """The reports, by digest, of those of `steps` (inputs first) that have happened, as have all their inputs."""
    known: dict[str, Report] = {}
    steps = list(steps)
    records = store.records({one.key for step in steps for one in (step, *step.inputs.values())})
    for step in steps:
        report = _reused(step, records) if all(need.digest in known for need in step.inputs.values()) else None
        if report is not None:
            known[step.digest] = report
    return known


def root_cause(error: BaseException) -> BaseException:
    """The first error of ours in the chain that led to `error`, else the one at its root."""
    # What Ray hands on from another process poses as the error itself, but its text is a traceback; it has a `cause`.
    while not isinstance(error, MckdError) or hasattr(error, "cause"):
        cause = getattr(error, "cause", None) or getattr(error, "worker_failures", None) or error.__cause__
        if isinstance(cause, dict):
            cause = next(iter(cause.values()), None)
        if not isinstance(cause, BaseException):
            break
        error = cause
    return error


def failed(digest: str, error: BaseException, started: float, seconds: float) -> Report:
    """The report of a step that `error` ended: our own errors as they are, others with the type of their root cause."""
    error = root_cause(error)
    lines = str(error).strip().splitlines() or [type(error).__name__]
    own = isinstance(error, MckdError)
    message = lines[0] if own else f"{type(error).__name__}: {lines[-1]}"
    return Report(digest, "failed", started, seconds, message, error.exit_status if isinstance(error, MckdError) else 1)
