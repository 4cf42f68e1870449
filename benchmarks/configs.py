"""Runs the configs for two CPU cores as they are, and prints their tables as Markdown.

    python benchmarks/configs.py [--quick] [--json FILE] [NAME ...]

Names are those of configs without .yaml (default: all that run on a CPU; with --quick only the demo). The real corpora
are below $MCKD_DATA (default: ./data, where `mckd data get` leaves them). Steps that have been run before are reused.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from common import Claims, arguments, machine

ROOT = Path(__file__).resolve().parent.parent
NAMES = ("demo", "builtin-cpu", "craft-cpu", "ptb-cpu", "atis-cpu", "snips-cpu")
MINUTES = 15
GAIN = 15
"""What the method's last student must gain over the teacher in the demo."""


def run(name: str) -> tuple[dict[str, Any], float]:
    """The result of a config, and the minutes that it took. Raises CalledProcessError if it fails."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "mckd_ray.cli", "run", str(ROOT / "configs" / f"{name}.yaml"), "--json"]
    output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(output), (time.perf_counter() - start) / 60


def table(result: dict[str, Any]) -> str:
    """Systems by score, and the quality of the pool's labels, as Markdown."""
    primary = result["primary"]
    fresh = [step for step in result["steps"] if step["kind"] == "train"]
    lines = [
        f"## {result['name']}",
        f"{primary.replace('_', ' ')} on test, %; teacher: {result['teacher']}; {len(fresh)} students trained.\n",
        f"| system | {primary} | coverage | over teacher | over KD |",
        "|---|---|---|---|---|",
    ]
    for name, system in result["systems"].items():
        label = f"{name} (simulated)" if name == "teacher" and result["teacher"] == "simulated" else name
        gains = (gain(system["gain_over"].get(other)) for other in ("teacher", "kd"))
        lines.append(f"| {label} | {score(system[primary])} | {system['coverage']:.1%} | {' | '.join(gains)} |")
    lines += ["\n| labels of the pool | score | coverage |", "|---|---|---|"]
    for name, scores in result["quality"].items():
        lines.append(f"| {name} | {scores[primary]:.1f} | {scores['coverage']:.1%} |")
    return "\n".join(lines)


def score(value: dict[str, Any]) -> str:
    """Mean and, over several seeds, spread."""
    return f"{value['mean']:.1f}" + (f" ± {value['spread']:.1f}" if len(value["values"]) > 1 else "")


def gain(found: dict[str, float] | None) -> str:
    """A gain with its 95% interval and p-value."""
    if found is None:
        return ""
    p = "p < 0.001" if found["p_value"] < 0.001 else f"p = {found['p_value']:.3f}"
    return f"{found['difference']:+.1f} [{found['low']:+.1f}, {found['high']:+.1f}], {p}"


def main() -> int:
    """Run the configs; 0 if each ends in time and the demo shows the method's gain."""
    parser = arguments("The configs for two CPU cores.")
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    claims = Claims("configs")
    for name in options.names or (NAMES[:1] if options.quick else NAMES):
        result, minutes = run(name)
        print(f"\n{table(result)}\n", flush=True)
        claims.add(f"{name}: minutes", minutes, "<=", MINUTES, "min")
        if name == "demo":
            systems, primary = result["systems"], result["primary"]
            *_, last = (system for system in systems if system.startswith("mckd-"))
            difference = systems[last][primary]["mean"] - systems["teacher"][primary]["mean"]
            claims.add(f"demo: {last} over its teacher", difference, ">=", GAIN, "F1")
    print(f"\n{machine()}")
    return claims.finish(options.json)


if __name__ == "__main__":
    sys.exit(main())
