"""What sharing steps saves: the sweep of configs/sweep-demo.yaml against its trials, each run in a store of its own.

    python benchmarks/sweep_reuse.py [--quick] [--json FILE]

Both sides in one run, each with one start of Ray. Trials apart run one after another, each with all cores. All trials
and all steps of the demo are run, on both sides with a third of its optimiser steps, so that it ends in some twenty
minutes; the share of them that is distinct stays as it is. Prints the theoretical ratios too: of steps, and of
optimiser steps. With --quick: 2 stages, 2 numbers of shots, one seed.
"""

import sys
import tempfile
import time
from pathlib import Path

from common import Claims, arguments

from mckd_ray.config import ExperimentConfig
from mckd_ray.config_file import read_config
from mckd_ray.plan.steps import Step
from mckd_ray.plan.store import Store
from mckd_ray.runner.dispatch import dispatch
from mckd_ray.runner.session import session
from mckd_ray.sweep.sweep import Sweep, planned, run_sweep
from mckd_ray.sweep.trials import distinct_steps

ROOT = Path(__file__).resolve().parent.parent
A_THIRD = (
    "teacher.student.training.steps=133",
    "student.base.masked.steps=100",
    "student.base.supervised.steps=167",
    "student.training.steps=50",
)
QUICK = ("search.space={plan.stages: [1, 2], teacher.shots: [5, 50]}", "search.seeds=[1]")
TARGET_RATIO = 0.55


def shared_seconds(sweep: Sweep) -> float:
    """The wall time of the sweep, which runs every distinct step. Raises SystemExit if it ran other ones."""
    start = time.perf_counter()
    executed = run_sweep(sweep, lambda seen: None)["executed"]
    if executed != len(distinct_steps(sweep.trials)):
        sys.exit(f"{executed} steps were run, not the {len(distinct_steps(sweep.trials))} distinct ones")
    return time.perf_counter() - start


def apart_seconds(config: ExperimentConfig, sweep: Sweep, folder: Path) -> float:
    """The wall time of the trials one after another, each in its own store. Raises SystemExit if a step fails."""
    start = time.perf_counter()
    with session(config.resources):
        for number, trial in enumerate(sweep.trials):
            store = Store(folder / str(number))
            reports = dispatch(trial.steps, {}, store, config.resources, lambda now: None)
            if not all(report.usable for report in reports.values()):
                sys.exit(f"trial {number}: a step failed")
    return time.perf_counter() - start


def optimiser_steps(steps: list[Step]) -> int:
    """How many optimiser steps all trainings among `steps` take."""
    return sum(step.settings["training"]["steps"] for step in steps if step.kind == "train")


def main() -> int:
    """Run both sides; 0 if the sweep takes little enough."""
    options = arguments("Sharing steps in a sweep.").parse_args()
    claims = Claims("sweep_reuse")
    with tempfile.TemporaryDirectory(prefix="mckd-bench-") as folder:
        overrides = [f"store.root={folder}/shared", *A_THIRD, *(QUICK if options.quick else ())]
        config = read_config(ROOT / "configs" / "sweep-demo.yaml", overrides)
        sweep = planned(config)
        distinct, apart = distinct_steps(sweep.trials), [step for trial in sweep.trials for step in trial.steps]
        print(
            f"theoretical ratio: {len(distinct) / len(apart):.2f} of steps ({len(distinct)} of {len(apart)}), "
            f"{optimiser_steps(distinct) / optimiser_steps(apart):.2f} of optimiser steps",
            flush=True,
        )
        shared = shared_seconds(sweep)
        separate = apart_seconds(config, sweep, Path(folder) / "apart")
        print(f"shared: {shared:.0f} s; apart: {separate:.0f} s", flush=True)
    claims.add("wall time of the sweep over that of its trials apart", shared / separate, "<=", TARGET_RATIO, "x")
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
