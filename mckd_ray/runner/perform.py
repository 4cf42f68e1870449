"""One step, from the reports of its inputs to its own; and many steps without Ray, one after the other."""

import time
import traceback
from collections.abc import Callable, Sequence

from mckd_ray import student
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.means import InProcess, Means
from mckd_ray.runner.reports import Report, failed, reused

POLL_S = 1.0
ERROR = "error.txt"
"""Where a step leaves the traceback of what ended it."""


def perform(step: Step, store: Store, needs: Sequence[Report], means: Means) -> Report:
    """Do one step, unless it has happened or one of what it needs has failed; waits for another process that does."""
    if not all(need.usable for need in needs):
        return Report(step.digest, "skipped", time.time(), 0.0, "a step that it needs has failed")
    with store.lock(step.key):
        report = reused(store, step)
        return report or _work(step, store, means)


def perform_here(
    steps: Sequence[Step], store: Store, watch: Callable[[Step, Report], None] = lambda step, report: None
) -> dict[str, Report]:
    """Do `steps`, each after its inputs, in this process, with one thread; the reports by digest.

    Steps, identities and results are those of a run. What another process on the same store is doing is left to it.
    No step may ask a prompted teacher: those live in Ray. `watch` is told of each step when it has ended.
    """
    student.use_threads(1)
    reports: dict[str, Report] = {}
    waiting = list(steps)
    while waiting:
        ready = (step for step in waiting if all(need.digest in reports for need in step.inputs.values()))
        step = next((step for step in ready if not store.busy(step.key)), None)
        if step is None:
            time.sleep(POLL_S)
            continue
        waiting.remove(step)
        needs = [reports[need.digest] for need in step.inputs.values()]
        report = reports[step.digest] = perform(step, store, needs, InProcess())
        watch(step, report)
    return reports


def _work(step: Step, store: Store, means: Means) -> Report:
    from mckd_ray.runner.work import WORK, job_of

    started = time.time()
    read = store.prepare(step)
    try:
        facts = WORK[step.kind](job_of(step, store, means))
    except Exception as error:  # Whatever it is, it ends this step and not the run; the traceback stays with the step.
        (store.place(step.key) / ERROR).tell(traceback.format_exc())
        return failed(step.digest, error, started, time.time() - started)
    record = store.finish(step, started, time.time(), facts, read)
    return Report(step.digest, "done", record.started, record.seconds)
