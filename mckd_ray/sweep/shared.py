"""The steps of all trials of a sweep in one place, so that each distinct step is given to Ray once."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from mckd_ray.config import ResourcesConfig
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.dispatch import POLL_S, Dispatcher
from mckd_ray.runner.reports import Report, reports_of_done
from mckd_ray.sweep.budget import TokenBudget


class SharedSteps:
    """An actor that has the steps of a sweep's trials done. It owns the one pool of labelling actors."""

    def __init__(self, store: Store, resources: ResourcesConfig, budget: TokenBudget) -> None:
        """Nothing to do yet. `budget` is what may be spent on asking teachers."""
        self._store, self._budget = store, budget
        self._dispatcher = Dispatcher(store, resources, self._refusal)
        self._seen: dict[str, Step] = {}

    def do(self, steps: Sequence[Step]) -> dict[str, Report]:
        """Have `steps` done, inputs first. Returns the reports, by digest, of those that have ended; ask again."""
        new = [step for step in steps if step.digest not in self._seen]
        if new:
            self._seen.update((step.digest, step) for step in new)
            self._dispatcher.reports.update(self._done_before(steps))
            self._dispatcher.add(steps)
        self._dispatcher.poll(0)
        reports = self._dispatcher.reports
        return {step.digest: reports[step.digest] for step in steps if step.digest in reports}

    def executed(self) -> int:
        """How many steps this sweep has run: not those that were there, or that another driver ran meanwhile."""
        self._dispatcher.poll(0)
        return sum(report.state == "done" for report in self._dispatcher.reports.values())

    def close(self) -> None:
        """See `Dispatcher.close`."""
        self._dispatcher.close()

    def _done_before(self, steps: Sequence[Step]) -> Mapping[str, Report]:
        known = self._dispatcher.reports
        return {digest: report for digest, report in reports_of_done(self._store, steps).items() if digest not in known}

    def _refusal(self) -> str:
        return self._budget.refusal(self._store, self._seen.values())


def start_shared(store: Store, resources: ResourcesConfig, budget: TokenBudget) -> Any:
    """The actor, on this node; when its process dies, it starts anew and learns from the store what is done."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    remote: Any = ray.remote(SharedSteps)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1, "scheduling_strategy": here}
    return remote.options(**options).remote(store, resources, budget)


def wait_for(shared: Any, steps: Sequence[Step], wanted: Sequence[Step]) -> dict[str, Report]:
    """Have `steps` done, and return the reports by digest once all those `wanted` have ended."""
    lot = ray.put(list(steps))
    while True:
        reports: dict[str, Report] = ray.get(shared.do.remote(lot))
        if all(step.digest in reports for step in wanted):
            return reports
        time.sleep(POLL_S)
