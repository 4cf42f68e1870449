"""Fixtures that all tests share."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# schemathesis imports it where it is installed, as it is for moto, and vLLM does not load beside its proxies.
sys.modules["flask"] = None  # type: ignore[assignment]

# A test that is slow because the machine is busy is right all the same.
settings.register_profile("usual", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("thorough", settings.get_profile("usual"), max_examples=5000)
settings.load_profile("usual")


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder with real CRAFT, PTB, ATIS and Snips in the normalised format; skips where it is not there."""
    for folder in (os.environ.get("MCKD_DATA", ""), "../shared/data"):
        if folder and (Path(folder) / "craft" / "train.jsonl").exists():
            return Path(folder)
    pytest.skip("the real corpora are not there: set MCKD_DATA to a folder that holds craft/, ptb/, atis/, snips/")


LONGEST_FIRST = (
    "test_sweep.py",
    "test_undisturbed.py",
    "test_run.py",
    "test_serving_commands.py",
    "test_serving.py",
    "test_prompting.py",
    "test_submission.py",
    "test_asking.py",
)
"""The files whose tests start Ray, which take longest: several processes that begin with them end together."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first."""
    order = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))
