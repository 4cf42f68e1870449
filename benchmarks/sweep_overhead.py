"""What a trial of a sweep costs beside its steps: 64 trials whose steps are all in the store.

    python benchmarks/sweep_overhead.py [--quick] [--json FILE]

The points differ in a setting that changes no step, so one small run fills the store. Counted is the whole sweep, from
planning over the start of Ray to tables and plots. With --quick: 16 trials, among which the start is shared by fewer.
"""

import sys
import tempfile
import time
from pathlib import Path

import yaml
from common import Claims, arguments

from mckd_ray.config_file import read_config
from mckd_ray.sweep.sweep import planned, run_sweep

TRIALS, QUICK_TRIALS = 64, 16
TARGET_SECONDS = 0.5
TINY = {
    "kind": "tagger",
    "scratch": {"width": 16, "layers": 1, "heads": 2, "vocabulary": 500},
    "training": {"steps": 5, "batch_size": 8},
}
CONFIG = {
    "task": {"kind": "constituency"},
    "corpus": {"format": "builtin", "labelled": 10, "pool": 60, "dev": 30, "test": 10},
    "teacher": {"engine": "student", "shots": 10, "student": TINY},
    "student": TINY,
    "plan": {"stages": 1, "systems": ["kd", "mckd"]},
}


def seconds(path: Path, trials: int) -> tuple[float, int]:
    """The wall time of a sweep of so many trials, and how many steps it ran."""
    space = {"space": {"teacher.max_new_tokens": {"range": [1, trials]}}}  # Which a student that labels has no use for.
    config = read_config(path, [f"search={yaml.safe_dump(space, default_flow_style=True)}"])
    start = time.perf_counter()
    result = run_sweep(planned(config), lambda seen: None)
    return time.perf_counter() - start, result["executed"]


def main() -> int:
    """Fill the store, then measure one trial and many; 0 if each further one is quick enough."""
    options = arguments("Overhead of a sweep's trials.").parse_args()
    claims = Claims("sweep_overhead")
    trials = QUICK_TRIALS if options.quick else TRIALS
    with tempfile.TemporaryDirectory(prefix="mckd-bench-") as folder:
        path = Path(folder) / "tiny.yaml"
        path.write_text(yaml.safe_dump({**CONFIG, "store": {"root": f"{folder}/runs"}}), encoding="utf-8")
        seconds(path, 1)
        many, executed = seconds(path, trials)
        if executed:
            sys.exit(f"{executed} steps were run; there should be nothing left to do")
    print(f"{trials} trials: {many:.1f} s with the start of Ray", flush=True)
    claims.add(f"seconds a trial, of {trials}", many / trials, "<=", TARGET_SECONDS)
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
