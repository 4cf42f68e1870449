"""How long the command line takes to start: `import mckd_ray`, `mckd --help`, `mckd plan`, each in a new process.

    python benchmarks/startup.py [--quick] [--json FILE]

The median of several starts, after one that is not counted (it may write byte code).
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path

from common import Claims, arguments

ROOT = Path(__file__).resolve().parent.parent
MCKD = "from mckd_ray.cli import main; main()"
COMMANDS = {
    "import mckd_ray": ["-c", "import mckd_ray"],
    "mckd --help": ["-c", MCKD, "--help"],
    "mckd plan": ["-c", MCKD, "plan", "configs/demo.yaml"],
}
TARGET_SECONDS = 1.0


def seconds(command: list[str], repeats: int) -> float:
    """The median wall time of `python COMMAND`; raises CalledProcessError if it fails."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True)
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def main() -> int:
    """Measure each command; 0 if all are as quick as claimed."""
    options = arguments("Start-up time of the command line.").parse_args()
    claims = Claims("startup")
    for name, command in COMMANDS.items():
        claims.add(name, seconds(command, 3 if options.quick else 10), "<=", TARGET_SECONDS)
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
