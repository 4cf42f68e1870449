"""Fixtures that all tests share."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("thorough", max_examples=5000, deadline=None)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with real CRAFT, PTB, ATIS and Snips in the normalised format; skips where it is not there."""
    for folder in (os.environ.get("MCKD_DATA", ""), "../shared/data"):
        if folder and (Path(folder) / "craft" / "train.jsonl").exists():
            return Path(folder)
    pytest.skip("the real corpora are not there: set MCKD_DATA to a folder that holds craft/, ptb/, atis/, snips/")


LONGEST_FIRST = ("test_undisturbed.py", "test_run.py", "test_prompting.py", "test_submission.py", "test_asking.py")
"""The files whose tests start Ray, which take longest: several processes that begin with them end together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
