"""A prompted teacher on Ray: what is asked, what it leaves, and what its death costs."""

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.random_llama import save_random_llama
from tests.running import Experiment, processes_below, wait_for

pytest.importorskip("vllm", reason="vLLM is not installed: run `make install`")
pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(1200)]
POOL, TEST = 120, 30


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_llama(tmp_path_factory.mktemp("llama"), context=1024)


def experiment(folder: Path, llama: Path, **teacher: Any) -> Experiment:
    corpus = {"format": "builtin", "labelled": 20, "pool": POOL, "dev": 1, "test": TEST}
    settings = {"engine": "vllm", "model": str(llama), "shots": 1, "max_new_tokens": 150, "dtype": "float32", **teacher}
    return Experiment(
        folder,
        {
            "task": {"kind": "constituency"},
            "corpus": corpus,
            "teacher": settings,
            "plan": {"stages": 1, "systems": ["teacher", "kd"]},
            "resources": {"teacher": {"price": {"input": 1, "cached": 0.5, "output": 2}}},
        },
    )


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, llama: Path) -> tuple[Experiment, dict[str, Any]]:
    """An undisturbed labelling, and what it said."""
    one = experiment(tmp_path_factory.mktemp("calm"), llama)
    return one, one.label()


def labels(said: dict[str, Any]) -> dict[str, str]:
    rows = pq.read_table(said["labels"], columns=["id", "raw"]).to_pylist()
    assert len({row["id"] for row in rows}) == len(rows) == POOL + TEST
    return {row["id"]: row["raw"] for row in rows}


def test_labelling_leaves_a_row_for_each_input_and_what_it_cost(calm: tuple[Experiment, dict[str, Any]]) -> None:
    _, said = calm
    assert set(labels(said)) > {"pool-000001", "test-000001"}
    assert sum(said["outcomes"].values()) == said["rows"] == POOL + TEST
    teacher = said["teacher"]
    assert teacher["engine"].startswith("vllm ")
    assert (teacher["asked"], teacher["known"], teacher["restarts"]) == (POOL + TEST, 0, 0)
    fresh = teacher["tokens_in"] - teacher["tokens_cached"]
    cost = (fresh * 1 + teacher["tokens_cached"] * 0.5 + teacher["tokens_out"] * 2) / 1e6
    assert teacher["money"] == pytest.approx(cost)
    assert teacher["tokens_cached"] > 0
    answers = pq.read_table(Path(said["labels"]).with_name("answers.parquet")).to_pylist()
    assert {row["shots"] for row in answers} == {1}


def test_a_preview_shows_what_is_asked_and_is_not_asked_again(tmp_path: Path, llama: Path) -> None:
    one = experiment(tmp_path, llama, max_new_tokens=20, engine="transformers")
    seen = one.label(options="--preview 2")
    for row in seen["rows"]:
        assert row["prompt"].startswith("Write the constituency tree")
        assert row["prompt"].endswith(f"Sentence: {row['input']}\nTree:")
        assert row["samples"] == [row["raw"]]
    assert seen["estimate"]["rows"] == POOL + TEST - 2
    assert seen["estimate"]["money"] > 0
    assert one.label(options="--limit 5")["facts"]["teacher"]["known"] == 2
    assert one.label("corpus.pool=20", "plan.partitions=4")["teacher"]["asked"] <= 20 + TEST
    assert max(Counter(row["key"] for row in one.book()).values()) == 1


def test_killed_engines_and_driver(
    calm: tuple[Experiment, dict[str, Any]], tmp_path: Path, llama: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine dies twice and the driver once: nothing that was written is asked again, and the labels are the same.

    What vLLM computes hangs a little on which requests share a batch, so a few greedy answers may differ: how many is
    shown.
    """
    again = experiment(tmp_path, llama)
    again.label_until_killed()
    written = len(again.book())
    assert 0 < written < POOL + TEST, "the driver died too late to show anything"

    said = again.label()
    assert said["teacher"]["known"] == written
    assert said["teacher"]["asked"] == POOL + TEST - written
    assert set(Counter(row["key"] for row in again.book()).values()) == {1}
    undisturbed, disturbed = labels(calm[1]), labels(said)
    assert set(disturbed) == set(undisturbed)
    differing = sum(disturbed[key] != undisturbed[key] for key in undisturbed)
    with capsys.disabled():
        print(f"\n{differing} of {len(undisturbed)} greedy answers differ from those of an undisturbed run")
    assert differing <= 0.05 * len(undisturbed)


def test_an_engine_that_always_dies_ends_the_step_with_its_last_words(tmp_path: Path, llama: Path) -> None:
    one = experiment(tmp_path, llama)
    driver = one.start("resources.teacher.max_restarts=0", command="label")
    actor = wait_for(lambda: processes_below(driver.pid, "ray::EngineActor"), driver)[0]
    actor.kill()
    output, _ = driver.communicate(timeout=300)
    assert driver.returncode == 1
    assert "the teacher's engine died 1 times, more often than resources.teacher.max_restarts (0) allows" in output
