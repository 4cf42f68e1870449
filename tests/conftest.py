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
    """The files whose tests start Ray, which take longest, come first, so that several processes end together."""
    items.sort(key=lambda item: item.get_closest_marker("cluster") is None)
