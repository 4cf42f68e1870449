"""Each benchmark says how it is used, and takes what all of them take."""

import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = sorted(
    path
    for path in (Path(__file__).parent.parent / "benchmarks").glob("*.py")
    if "= arguments(" in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("script", BENCHMARKS, ids=lambda path: path.stem)
def test_a_benchmark_says_how_it_is_used(script: Path) -> None:
    said = subprocess.run([sys.executable, script, "--help"], capture_output=True, text=True, check=False, timeout=120)
    assert said.returncode == 0, said.stderr
    assert {"--quick", "--json"} <= set(said.stdout.replace(",", " ").split())
