"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with real CRAFT, PTB, ATIS and Snips in the normalised format; skips where it is not there."""
    for folder in (os.environ.get("MCKD_DATA", ""), "../shared/data"):
        if folder and (Path(folder) / "craft" / "train.jsonl").exists():
            return Path(folder)
    pytest.skip("the real corpora are not there: set MCKD_DATA to a folder that holds craft/, ptb/, atis/, snips/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of two processes, one runs the tests that start Ray, which take longest, and the other the rest, file by file."""
    items.sort(key=lambda item: item.get_closest_marker("cluster") is None)
    for item in items:
        group = "cluster" if item.get_closest_marker("cluster") else item.path.name
        item.add_marker(pytest.mark.xdist_group(group))
