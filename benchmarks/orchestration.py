"""What the runner itself costs: graphs of the method in which every step does nothing, through Ray and the store.

    python benchmarks/orchestration.py [--quick] [--json FILE]

The graphs are those of `mckd plan` for K stages and P partitions, of some 10 to some 1,000 steps; the steps go the way
of a real run (Ray task, lock, folder, record), only their work is left out. --quick leaves out the largest.
"""

import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from common import Claims, arguments

from mckd_ray.config import ExperimentConfig, ResourcesConfig
from mckd_ray.plan.experiment import plan
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.dispatch import dispatch
from mckd_ray.runner.reports import Report
from mckd_ray.runner.session import WORKER_ENVIRONMENT, connect

GRAPHS = {"small": (1, 2), "middle": (4, 12), "large": (10, 50)}
"""K, P."""
MOST_MS = 50.0
MOST_GROWTH = 1.5
"""How much more a step may cost in the largest graph than in the middle one: 1 is linear growth."""
MOST_BYTES = 100 * 1024


def graph(stages: int, partitions: int) -> list[Step]:
    """The steps of an experiment with K stages and P partitions."""
    config = ExperimentConfig.model_validate(
        {
            "task": {"kind": "constituency"},
            "corpus": {"format": "builtin"},
            "teacher": {"engine": "student"},
            "plan": {"stages": stages, "partitions": partitions, "evaluate": ["dev", "test"]},
        }
    )
    return plan(config, "a corpus").steps


def leave_out_the_work() -> None:
    """Run in each worker process: no kind of step does anything."""
    from mckd_ray.runner import work

    nothing: Any = dict.fromkeys(work.WORK, lambda job: {})
    work.WORK = nothing


@dataclass
class Seen:
    """The most that was seen while a graph ran."""

    driver: int = 0
    """Bytes of memory of this process."""
    workers: int = 0
    """Processes of Ray that do tasks."""
    _next: float = field(default=0.0, repr=False)

    def look(self, reports: Mapping[str, Report]) -> None:
        """Look once a second, as looking takes time too."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + 1
        this = psutil.Process()
        self.driver = max(self.driver, this.memory_info().rss)
        names = [child.name() for child in this.children(recursive=True) if child.is_running()]
        self.workers = max(self.workers, sum(name.startswith("ray::") for name in names))


def run(steps: list[Step]) -> tuple[float, Seen]:
    """Run a graph in a store of its own; returns seconds, and what was seen."""
    seen = Seen()
    with tempfile.TemporaryDirectory(prefix="mckd-orchestration-") as folder:
        started = time.perf_counter()
        reports = dispatch(steps, {}, Store(Path(folder)), ResourcesConfig(), seen.look)
        seconds = time.perf_counter() - started
    failed = {report.message for report in reports.values() if report.state != "done"}
    if failed:
        raise RuntimeError(f"steps that do nothing failed: {failed}")
    return seconds, seen


def main() -> int:
    """Measure each graph; 0 if the runner costs as little as claimed."""
    options = arguments("What the runner costs for each step.").parse_args()
    claims = Claims("orchestration")
    hook = {"worker_process_setup_hook": leave_out_the_work, "env_vars": WORKER_ENVIRONMENT}
    connect(None, num_cpus=8, include_dashboard=False, log_to_driver=False, runtime_env=hook)
    run(graph(*GRAPHS["small"]))  # Starts the worker processes, which a long run does once.
    costs: dict[str, float] = {}
    memory: dict[str, int] = {}
    for name in list(GRAPHS)[: 2 if options.quick else 3]:
        steps = graph(*GRAPHS[name])
        seconds, seen = run(steps)
        costs[name], memory[name] = 1000 * seconds / len(steps), seen.driver
        stages, partitions = GRAPHS[name]
        print(
            f"K={stages} P={partitions}: {len(steps)} steps, {costs[name]:.1f} ms each, "
            f"driver {seen.driver / 2**20:.0f} MiB, at most {seen.workers} workers",
            flush=True,
        )
    before, last = list(costs)[-2:]
    claims.add(f"a step of the {last} graph", costs[last], "<=", MOST_MS, "ms")
    claims.add(
        f"a step of the {last} graph against one of the {before}", costs[last] / costs[before], "<=", MOST_GROWTH, "x"
    )
    growth = (memory[last] - memory[before]) / (len(graph(*GRAPHS[last])) - len(graph(*GRAPHS[before])))
    claims.add("memory of the driver for each further step", growth / 1024, "<=", MOST_BYTES / 1024, "KiB")
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
