"""The seq2seq student: it learns, it is deterministic, it resumes, it labels all tasks, and says what is wrong."""

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from mckd_ray.config import BaseConfig, ScratchConfig, StudentConfig, TeacherConfig, TrainingConfig
from mckd_ray.errors import DataError, ModelError
from mckd_ray.records import Example, Label, Outcome, TrainingRow
from mckd_ray.student.base import TrainingJob
from mckd_ray.student.seq2seq import Seq2Seq
from mckd_ray.tasks import TASKS
from mckd_ray.teacher import make_labeller
from tests.students import (
    FRAMES,
    TREES,
    examples_of,
    largest_difference,
    make_job,
    of_student,
    rows_of,
    same,
    train,
    train_broken_off,
    trained,
)

WORDS = [f"{a}{b}" for a in ("ba", "do") for b in ("n", "r", "sh", "t")]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def job_of(folder: Path, task: str, linearisation: str, rows: list[TrainingRow], **changes: Any) -> TrainingJob:
    config = StudentConfig(
        kind="seq2seq",
        linearisation=linearisation,
        scratch=ScratchConfig(width=64, layers=1, heads=4, vocabulary=400),
        max_source=64,
        max_target=64,
    )
    training = TrainingConfig(steps=1, batch_size=8, learning_rate=3e-3)
    return make_job(folder, task, config, rows, **{"training": training, **changes})


def reversal_rows(count: int, seed: int) -> list[TrainingRow]:
    """Three words, and the same words in reverse."""
    rng = random.Random(seed)
    rows = []
    for index in range(count):
        words = rng.choices(WORDS, k=3)
        rows.append(TrainingRow(f"r{index}", (), " ".join(words), " ".join(reversed(words))))
    return rows


def test_learns_to_reverse_words(tmp_path: Path) -> None:
    training = TrainingConfig(steps=350, batch_size=32, learning_rate=3e-3, dropout=0.0)
    job = job_of(tmp_path, "text", "plain", reversal_rows(2000, 1), training=training)
    labeller = trained(job, tmp_path / "model")
    unseen = reversal_rows(200, 2)
    labels = labeller.label([row.example for row in unseen])
    right = sum(label.target == row.target for label, row in zip(labels, unseen, strict=True))
    assert right > 180
    assert all(label.confidence < 0 for label in labels)


ALL = [
    *(("constituency", name, TREES) for name in TASKS["constituency"].linearisations),
    *(("semantic", name, FRAMES) for name in TASKS["semantic"].linearisations),
]


@pytest.mark.parametrize(("task", "linearisation", "pairs"), ALL)
def test_constrained_labels_are_valid_from_a_student_that_knows_nothing(
    tmp_path: Path, task: str, linearisation: str, pairs: list[tuple[str, str]]
) -> None:
    job = job_of(tmp_path, task, linearisation, rows_of(pairs * 4))
    examples = [*examples_of(pairs * 4), Example("new", ("ünseen", "wörds", ";", "(x)"))]
    labels = trained(job, tmp_path / "model").label(examples)
    assert [label.id for label in labels] == [example.id for example in examples]
    for label, example in zip(labels, examples, strict=True):
        assert label.outcome is Outcome.OK, label
        assert TASKS[task].check(label.target, example) == label.target


def test_unconstrained_labels_are_repaired_or_say_why(tmp_path: Path) -> None:
    job = job_of(tmp_path, "semantic", "interleaved", rows_of(FRAMES * 4))
    job = of_student(job, constrain=False)
    for label in trained(job, tmp_path / "model").label(examples_of(FRAMES * 4)):
        assert label.outcome.usable == bool(label.target)
        assert label.outcome is Outcome.OK or label.reason


def test_too_long_for_the_source_or_the_target_is_a_failed_row(tmp_path: Path) -> None:
    labeller = trained(job_of(tmp_path, "constituency", "words", rows_of(TREES * 4)), tmp_path / "model")
    source, target, fine = labeller.label(
        [Example("a", ("the",) * 200), Example("b", ("cat",) * 40), Example("c", ("cat",))]
    )
    assert (source.outcome, target.outcome, fine.outcome) == (Outcome.FAILED, Outcome.FAILED, Outcome.OK)
    assert "max_source=64" in source.reason
    assert "max_target=64" in target.reason


def test_same_job_gives_the_same_bits(tmp_path: Path) -> None:
    job = job_of(tmp_path, "constituency", "labelled-words", rows_of(TREES * 4))
    train(job, tmp_path / "one")
    torch.rand(7)
    train(job, tmp_path / "two")
    train(replace(job, seed=2), tmp_path / "three")
    for name in ("model.safetensors", "tokenizer.json", "student.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    assert not same(tmp_path / "one", tmp_path / "three")


@pytest.mark.parametrize("objective", ["supervised", "masked"])
def test_a_resumed_run_gives_the_same_bits(tmp_path: Path, objective: Any) -> None:
    training = TrainingConfig(steps=4, batch_size=8, learning_rate=3e-3)
    job = job_of(tmp_path, "semantic", "frame", rows_of(FRAMES * 4), objective=objective, training=training)
    whole = train(job, tmp_path / "whole")
    resumed = train_broken_off(replace(job, work=tmp_path / "again"), tmp_path / "resumed", stop=2)
    assert same(whole, resumed)


def test_accumulated_parts_give_the_same_steps(tmp_path: Path) -> None:
    training = TrainingConfig(steps=2, batch_size=8, learning_rate=1e-3, dropout=0.0)
    job = job_of(tmp_path, "semantic", "tags", rows_of(FRAMES * 4), training=training)
    whole, parts = train(job, tmp_path / "whole"), train(replace(job, accumulate=4), tmp_path / "parts")
    # AdamW's first steps are the signs of the gradients: compare to the size of a step.
    assert largest_difference(whole, parts) < 1e-5


def test_a_weight_counts_as_copies(tmp_path: Path) -> None:
    rows = rows_of(FRAMES)
    trainer = Seq2Seq().trainer(job_of(tmp_path, "semantic", "tags", rows))
    model: Any = trainer.model
    dataset: Any = trainer.train_dataset
    model.eval()
    items = [dataset[index] for index in range(2)]

    def loss(items: list[Any], pieces: int) -> Any:
        return trainer.compute_loss(model, trainer.data_collator(items), num_items_in_batch=pieces)

    plain = trainer.data_collator(items)
    expected = model(**{name: plain[name] for name in ("input_ids", "attention_mask", "labels")}).loss
    torch.testing.assert_close(loss(items, int((plain["labels"] >= 0).sum())), expected)
    torch.testing.assert_close(
        loss([replace(items[0], weight=3.0), items[1]], 10), loss([items[0]] * 3 + [items[1]], 10)
    )


def test_a_base_student_is_extended_by_new_symbols(tmp_path: Path) -> None:
    general, target = tmp_path / "general", tmp_path / "target"
    base = BaseConfig(masked_share=0.3)
    job = job_of(general, "constituency", "labelled-words", rows_of(TREES[:2] * 4), objective="masked")
    job = of_student(job, base=base)
    train(job, tmp_path / "base")
    first = job_of(general, "constituency", "labelled-words", rows_of(TREES[:1] * 4), init=tmp_path / "base")
    train(first, tmp_path / "first")
    second = job_of(target, "constituency", "labelled-words", rows_of(TREES[2:] * 4), init=tmp_path / "first")
    (label,) = trained(second, tmp_path / "second").label([Example("x", ("yes", "no"))])
    vocabulary = transformers.AutoTokenizer.from_pretrained(tmp_path / "second").get_vocab()
    assert {"⟨(NP⟩", "⟨(INTJ⟩", "⟨)⟩"} <= set(vocabulary)
    assert label.outcome is Outcome.OK
    assert "NP" not in label.target
    assert json.loads((tmp_path / "second" / "student.json").read_text())["inventory"]["labels"] == ["INTJ"]


def test_starts_from_a_pretrained_encoder_decoder_of_another_kind(tmp_path: Path) -> None:
    """BART: a start piece before each output, positions that end, and no space before a first word."""
    job = job_of(tmp_path, "constituency", "words", rows_of(TREES * 4))
    tokenizer: Any = Seq2Seq().trainer(job).processing_class
    config = transformers.BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=48,
        pad_token_id=0, bos_token_id=1, eos_token_id=1, decoder_start_token_id=1, forced_eos_token_id=1,
    )  # fmt: skip
    transformers.BartForConditionalGeneration(config).save_pretrained(tmp_path / "bart")
    tokenizer.save_pretrained(tmp_path / "bart")
    job = of_student(job, model=str(tmp_path / "bart"))
    labels = trained(job, tmp_path / "model").label([*examples_of(TREES * 4), Example("l", ("a",) * 49)])
    assert [label.outcome for label in labels] == [Outcome.OK] * 12 + [Outcome.FAILED]


def test_what_is_not_a_model_is_a_model_error(tmp_path: Path) -> None:
    job = job_of(tmp_path, "text", "plain", reversal_rows(8, 1))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="empty' can't be loaded as a seq2seq student"):
        Seq2Seq().trainer(of_student(job, model=str(tmp_path / "empty")))
    with pytest.raises(ModelError, match="is not a student that was trained here"):
        Seq2Seq().trainer(replace(job, init=tmp_path / "empty"))
    with pytest.raises(ModelError, match="is not a student that was trained here"):
        Seq2Seq().load(tmp_path / "empty")


def test_pickled_weights_are_refused(tmp_path: Path) -> None:
    job = job_of(tmp_path, "text", "plain", reversal_rows(8, 1))
    train(job, tmp_path / "model")
    model = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path / "model")
    torch.save(model.state_dict(), tmp_path / "model" / "pytorch_model.bin")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="safetensors"):
        Seq2Seq().load(tmp_path / "model")


def test_rows_that_are_all_too_long_are_a_data_error(tmp_path: Path) -> None:
    rows = [TrainingRow("a", (), "word " * 100, "word")]
    with pytest.raises(DataError, match="none of its 1 rows can be trained on"):
        Seq2Seq().trainer(job_of(tmp_path, "text", "plain", rows))


def test_labels_do_not_hang_on_the_batch(tmp_path: Path) -> None:
    labeller = trained(job_of(tmp_path, "semantic", "interleaved", rows_of(FRAMES * 4)), tmp_path / "model")
    examples = examples_of(FRAMES * 4)

    def targets(labels: list[Label]) -> dict[str, str]:
        return {label.id: label.target for label in labels}

    alone = targets([labeller.label([example])[0] for example in examples])
    assert targets(labeller.label(examples)) == targets(labeller.label(examples[::-1])) == alone
    assert labeller.label([]) == []


def test_a_trained_student_can_be_the_teacher(tmp_path: Path) -> None:
    student = trained(job_of(tmp_path, "semantic", "interleaved", rows_of(FRAMES * 4)), tmp_path / "model")
    config = TeacherConfig(engine="student")
    teacher = make_labeller(config, TASKS["semantic"], checkpoint=tmp_path / "model")
    examples = examples_of(FRAMES * 4)
    assert teacher.label(examples) == student.label(examples)
