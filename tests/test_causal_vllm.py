"""Causal students that vLLM labels with: in the pieces that they know, validly, and through a whole run."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from mckd_ray.config import LabellingResources
from mckd_ray.errors import ModelError
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.tasks import TASKS
from mckd_ray.teacher.engine import Engine, Request
from mckd_ray.teacher.reading import label_of
from mckd_ray.teacher.student_prompts import FittedQuestions, StudentPrompts, as_teacher, start
from tests.running import TINY, Experiment
from tests.students import TREES, examples_of, of_student, rows_of, train
from tests.test_causal import job_of

pytest.importorskip("vllm", reason="vLLM is not installed: run `make install`")

LLAMA = {
    "kind": "causal",
    "linearisation": "interleaved",
    "engine": "vllm",
    "scratch": {"width": 64, "layers": 1, "heads": 2, "vocabulary": 500},
    "max_source": 160,
    "max_target": 160,
    "training": {"steps": 20, "batch_size": 2},
}
UNKNOWN = [Example("q", ("ünseen", "wörds", "(x)")), Example("r", ("yes", "no", "the", "cat"))]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that has seen three trees."""
    path = tmp_path_factory.mktemp("student")
    job = job_of(path, "constituency", "interleaved", rows_of(TREES))
    train(of_student(job, max_source=120, max_target=200), path / "model")
    return path / "model"


def ask(engine: Engine, examples: list[Example]) -> list[Label]:
    answers = engine.work([Request(example.id, example, ()) for example in examples], 600)
    by_key = {answer.key: answer for answer in answers}
    linearisation = TASKS["constituency"].linearisations["interleaved"]
    return [label_of(example, by_key[example.id], linearisation, TASKS["constituency"]) for example in examples]


def test_a_student_in_vllm_writes_trees(folder: Path) -> None:
    engine = start(folder, *as_teacher(folder, LabellingResources()))
    examples = [*examples_of(TREES), *UNKNOWN]
    for label, example in zip(ask(engine, examples), examples, strict=True):
        assert label.outcome is Outcome.OK, label
        assert TASKS["constituency"].check(label.target, example) == label.target
        assert label.confidence < 0
    (label,) = ask(engine, [Example("long", ("the",) * 200)])
    assert label.outcome is Outcome.FAILED
    assert "more than max_source=120" in label.reason


def test_it_is_asked_in_the_pieces_that_it_was_trained_on(folder: Path) -> None:
    from mckd_ray.student.causal import Causal

    card = json.loads((folder / "student.json").read_text())
    job = job_of(folder.parent / "again", "constituency", "interleaved", rows_of(TREES))
    trainer: Any = Causal().trainer(job)
    trained_on = trainer.data_collator([[segment] for segment in trainer.train_dataset[0]])["input_ids"].tolist()
    fitted = FittedQuestions(StudentPrompts(card), trainer.processing_class, card)
    for example in examples_of(TREES):
        pieces, _ = fitted.fit(Request("x", example, ()))
        assert any(row[: len(pieces)] == pieces for row in trained_on)


def test_another_kind_of_student_is_refused(tmp_path: Path) -> None:
    (tmp_path / "student.json").write_text(json.dumps({"kind": "tagger"}), encoding="utf-8")
    with pytest.raises(ModelError, match="vLLM is for causal students"):
        as_teacher(tmp_path, LabellingResources())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Experiment, dict[str, Any]]:
    """Two stages of a small Llama."""
    config = {**TINY, "student": LLAMA, "plan": {"stages": 2, "systems": ["mckd"]}}
    one = Experiment(tmp_path_factory.mktemp("causal"), config)
    return one, one.run()


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.timeout(1200)
def test_a_causal_student_goes_through_two_stages(done: tuple[Experiment, dict[str, Any]]) -> None:
    one, result = done
    assert result["systems"]["mckd-2"]["coverage"] == 1
    relabelled = {key: record for key, record in one.records().items() if key.startswith("relabel")}
    assert len(relabelled) == 3  # Each half of the pool by the student of the other, and test by the final one.
    for key, record in relabelled.items():
        assert record["facts"]["teacher"]["engine"].startswith("vllm ")
        assert record["facts"]["outcomes"]["ok"] == record["facts"]["rows"]
        rows = pq.read_table(one.folder / "runs" / "steps" / key / "labels.parquet").to_pylist()
        assert {row["labeller"] for row in rows} == {key}
    pool = sum(record["facts"]["rows"] for record in relabelled.values() if record["settings"]["split"] == "pool")
    assert pool == TINY["corpus"]["pool"]
