"""What grows with the pool stays with the steps: the driver of a run with a million inputs is small."""

import json
import re
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.running import Experiment

ROWS = 1_000_000
MOST_KIB = 2**20
CONFIG = {
    "task": {"kind": "text"},
    "corpus": {"path": "rows", "labelled": 1},
    "teacher": {"engine": "replay", "model": "labels.jsonl"},
    "student": {"kind": "seq2seq", "linearisation": "plain"},
    "plan": {"stages": 1, "systems": ["teacher"]},
    "resources": {"labelling": {"chunk": 4096}},
}


def write_experiment(folder: Path) -> None:
    """A pool of ROWS short inputs, and labels for all of them."""
    (folder / "rows").mkdir()
    with (folder / "labels.jsonl").open("w") as labels:
        for split, size in (("train", ROWS + 1), ("dev", 1), ("test", 1)):
            with (folder / "rows" / f"{split}.jsonl").open("w") as rows:
                for number in range(size):
                    text = f"{split} {number}"
                    line = json.dumps({"id": text, "text": f"input {text}", "target": f"output {text}"}) + "\n"
                    rows.write(line)
                    labels.write(line)


def most_memory(pid: int) -> int:
    """The most memory in KiB that a process has had; 0 if it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) if found else 0


@pytest.mark.cluster
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_million_inputs_take_the_driver_less_than_a_gigabyte(tmp_path: Path) -> None:
    write_experiment(tmp_path)
    run = Experiment(tmp_path, CONFIG)
    driver, most = run.start(), 0
    while driver.poll() is None:
        most = max(most, most_memory(driver.pid))
        time.sleep(0.1)
    output, _ = driver.communicate()
    assert driver.returncode == 0, output
    (table,) = run.steps.glob("label-*/labels.parquet")
    assert pq.read_metadata(table).num_rows == ROWS + 1  # The pool, and test.
    assert 0 < most <= MOST_KIB, f"{most // 1024} MiB"
