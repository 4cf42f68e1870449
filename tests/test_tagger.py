"""The tagger: it learns, it is deterministic, it resumes, it starts from others, and says what is wrong."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from mckd_ray import student
from mckd_ray.config import ScratchConfig, StudentConfig, TrainingConfig
from mckd_ray.errors import ConfigError, DataError, ModelError
from mckd_ray.records import Example, Outcome, TrainingRow
from mckd_ray.student.base import Labeller, TrainingJob
from mckd_ray.student.features import UNKNOWN, WordFeatures
from mckd_ray.student.tagger import Tagger
from mckd_ray.tasks import TASKS
from tests import students
from tests.students import make_job, same, train_broken_off, weights

TREES = [
    "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))",
    "(S (NP (DT a) (NN dog)) (VP (VBZ sees) (NP (DT the) (NN cat))))",
    "(FRAG (DT the) (NN dog))",
    "(NN dogs)",
]
SLOTS = {"play jazz now": "play O B-genre O", "will it rain": "weather O O B-kind", "play folk": "play O B-genre"}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def tree_rows() -> list[TrainingRow]:
    task = TASKS["constituency"]
    pairs = [task.read({"id": str(index), "tree": tree}) for index, tree in enumerate(TREES)]
    return [TrainingRow(example.id, example.tokens, "", target or "") for example, target in pairs]


def slot_rows() -> list[TrainingRow]:
    return [TrainingRow(text, tuple(text.split()), "", target) for text, target in SLOTS.items()]


def job_of(folder: Path, rows: list[TrainingRow], task: str = "constituency", **changes: Any) -> TrainingJob:
    config = changes.pop("student", student_of("words"))
    training = TrainingConfig(steps=8, batch_size=4, learning_rate=5e-3)
    return make_job(folder, task, config, rows, **{"training": training, **changes})


def student_of(encoder: str) -> StudentConfig:
    return StudentConfig(scratch=ScratchConfig(width=32, layers=1, heads=2, vocabulary=200, encoder=encoder))


def train(job: TrainingJob) -> Path:
    return students.train(job, job.rows.parent / "student")


def answers(labeller: Labeller, rows: list[TrainingRow]) -> list[str]:
    return [label.target for label in labeller.label([row.example for row in rows])]


@pytest.mark.parametrize(("task", "rows"), [("constituency", tree_rows()), ("semantic", slot_rows())])
def test_a_tagger_learns_its_rows_and_labels_after_save_and_load(
    tmp_path: Path, task: str, rows: list[TrainingRow]
) -> None:
    job = job_of(tmp_path, rows, task, training=TrainingConfig(steps=80, batch_size=4, learning_rate=1e-2, dropout=0.0))
    labels = student.load(train(job)).label([row.example for row in rows])
    assert [label.target for label in labels] == [row.target for row in rows]
    tags = TASKS[task].linearisations["tags"]
    for row, label in zip(rows, labels, strict=True):
        assert (label.id, label.outcome) == (row.id, Outcome.OK)
        assert label.raw == tags.linearise(row.target, row.example)
        assert -1 < label.confidence < 0


def test_the_same_job_gives_the_same_bits_and_another_seed_others(tmp_path: Path) -> None:
    folders = [train(job_of(tmp_path / name, tree_rows(), seed=seed)) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    assert same(folders[0], folders[1])
    assert not same(folders[0], folders[2])


@pytest.mark.parametrize("objective", ["supervised", "masked"])
@pytest.mark.parametrize("encoder", ["words", "bert"])
def test_a_resumed_run_ends_in_the_bits_of_an_undisturbed_one(tmp_path: Path, objective: str, encoder: str) -> None:
    settings: dict[str, Any] = {"objective": objective, "student": student_of(encoder)}
    whole = train(job_of(tmp_path / "whole", tree_rows(), **settings))
    job = job_of(tmp_path / "broken", tree_rows(), **settings)
    assert same(whole, train_broken_off(job, tmp_path / "resumed", stop=5))


def test_accumulated_parts_train_as_many_steps(tmp_path: Path) -> None:
    trainer = Tagger().trainer(job_of(tmp_path, tree_rows(), accumulate=2))
    trainer.train()
    assert trainer.state.global_step == 8
    with pytest.raises(ConfigError, match=r"batch_size=4 is not a multiple of .* = 1 x 3"):
        Tagger().trainer(job_of(tmp_path, tree_rows(), accumulate=3))


def test_a_row_without_weight_does_not_train(tmp_path: Path) -> None:
    rows = tree_rows()
    job = job_of(tmp_path / "a", rows)
    silent = [replace(rows[0], id="silent", target="(X (X the) (X cat) (X sleeps))", weight=0.0), *rows]
    other = job_of(tmp_path / "b", silent, raw_text=job.raw_text)
    assert same(train(job), train(other))


def test_heavier_rows_win_where_rows_disagree(tmp_path: Path) -> None:
    example = ("it", "is")
    rows = [
        TrainingRow("a", example, "", "(A (X it) (X is))", weight=1.0),
        TrainingRow("b", example, "", "(B (X it) (X is))", weight=4.0),
    ]
    job = job_of(tmp_path, rows, training=TrainingConfig(steps=40, batch_size=4, learning_rate=1e-2))
    assert answers(student.load(train(job)), rows[:1]) == ["(B (X it) (X is))"]


def test_a_student_that_starts_from_another_keeps_its_tags_and_learns_new_ones(tmp_path: Path) -> None:
    long = TrainingConfig(steps=80, batch_size=4, learning_rate=1e-2, dropout=0.0)
    first = train(job_of(tmp_path / "first", tree_rows()[:2], training=long))
    one_step = TrainingConfig(steps=1, batch_size=4, learning_rate=1e-9)
    second = train(job_of(tmp_path / "second", tree_rows()[2:], init=first, training=one_step))
    old, new = (json.loads((folder / "student.json").read_text())["factors"] for folder in (first, second))
    assert all(new[name][: len(old[name])] == old[name] for name in old)
    assert set(new["node"]) - set(old["node"]) == {"L/FRAG"}
    assert (first / "words.json").read_bytes() == (second / "words.json").read_bytes()
    assert answers(student.load(second), tree_rows()[:2]) == [row.target for row in tree_rows()[:2]]
    third = train(job_of(tmp_path / "third", tree_rows(), init=second, training=long))
    assert answers(student.load(third), tree_rows()) == [row.target for row in tree_rows()]


@pytest.mark.parametrize("encoder", ["words", "bert"])
def test_masked_words_give_an_encoder_to_start_from(tmp_path: Path, encoder: str) -> None:
    settings = student_of(encoder)
    untargeted = [replace(row, target="") for row in tree_rows()] * 4
    base = train(job_of(tmp_path / "base", untargeted, objective="masked", student=settings))
    with pytest.raises(ModelError, match="only learned to restore masked words"):
        student.load(base)
    one_step = TrainingConfig(steps=1, batch_size=4, learning_rate=1e-9)
    tuned = train(job_of(tmp_path / "tuned", tree_rows(), init=base, training=one_step, student=settings))
    before, after = weights(base), weights(tuned)
    shared = [name for name in before if name in after]
    assert any("layer" in name for name in shared)
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in shared)


@pytest.mark.parametrize("encoder", ["bert", "roberta"])
def test_stock_encoders_learn_from_scratch_and_start_from_a_folder(tmp_path: Path, encoder: str) -> None:
    long = TrainingConfig(steps=40, batch_size=4, learning_rate=1e-2, dropout=0.0)
    folder = train(job_of(tmp_path / "scratch", tree_rows(), training=long, student=student_of(encoder)))
    assert answers(student.load(folder), tree_rows()) == [row.target for row in tree_rows()]
    (folder / "student.json").unlink()
    short = TrainingConfig(steps=1, batch_size=4, learning_rate=1e-9)
    again = train(job_of(tmp_path / "folder", tree_rows(), training=short, student=StudentConfig(model=str(folder))))
    after = weights(again)
    assert all(torch.allclose(weight, after[name], atol=1e-6) for name, weight in weights(folder).items())


@pytest.mark.parametrize("encoder", ["distilbert", "electra"])
def test_other_stock_encoders_train_and_label(tmp_path: Path, encoder: str) -> None:
    short = TrainingConfig(steps=1, batch_size=4)
    folder = train(job_of(tmp_path, tree_rows(), training=short, student=student_of(encoder)))
    assert all(answers(student.load(folder), tree_rows()))


def test_the_word_encoder_loads_through_auto_classes(tmp_path: Path) -> None:
    folder = train(job_of(tmp_path, tree_rows()))
    model = transformers.AutoModelForTokenClassification.from_pretrained(folder, use_safetensors=True)
    assert type(model).__name__ == "WordEncoderForTokenClassification"


def test_labels_do_not_depend_on_what_else_is_labelled(tmp_path: Path) -> None:
    labeller = student.load(train(job_of(tmp_path, tree_rows())))
    many = [Example(f"{index}", ("the", "cat") * (1 + index % 30)) for index in range(300)]
    together = labeller.label(many)
    assert [label.id for label in together] == [example.id for example in many]
    alone = [labeller.label([example])[0] for example in many[:40]]
    assert [label.target for label in together[:40]] == [label.target for label in alone]


def test_what_cannot_be_labelled_is_a_row_that_says_so(tmp_path: Path) -> None:
    labeller = student.load(train(job_of(tmp_path, tree_rows(), student=student_of("bert"))))
    empty, fine, long = labeller.label([Example("e"), Example("f", ("cat",)), Example("l", ("cat",) * 600)])
    assert (empty.outcome, empty.reason) == (Outcome.FAILED, "the input has no tokens")
    assert fine.outcome == Outcome.OK
    assert long.outcome == Outcome.FAILED
    assert "pieces are more than the 512" in long.reason


def test_without_constraint_illegal_tags_are_repaired_and_said_to_be(tmp_path: Path) -> None:
    free = StudentConfig(constrain=False, scratch=ScratchConfig(width=32, layers=1, heads=2, vocabulary=200))
    labeller = student.load(train(job_of(tmp_path, tree_rows(), student=free, training=TrainingConfig(steps=1))))
    labels = labeller.label([Example(str(length), ("cat",) * length) for length in range(1, 30)])
    assert {label.outcome for label in labels} <= {Outcome.OK, Outcome.REPAIRED}
    broken = [label for label in labels if label.outcome == Outcome.REPAIRED]
    assert broken
    assert all(label.target and "makes no tree" in label.reason for label in broken)


def test_bad_starts_are_one_clear_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ModelError, match="empty' can't be loaded as a tagger"):
        Tagger().trainer(job_of(tmp_path, tree_rows(), student=StudentConfig(model=str(empty))))
    with pytest.raises(ModelError, match="is not a student that was trained here"):
        Tagger().trainer(job_of(tmp_path, tree_rows(), init=empty))
    with pytest.raises(ModelError, match="is not a student that was trained here"):
        student.load(empty)
    with pytest.raises(ConfigError, match="'bert'"):
        Tagger().trainer(job_of(tmp_path, tree_rows(), student=StudentConfig(scratch=ScratchConfig(encoder="bertt"))))
    with pytest.raises(ConfigError, match="the task text has no tags"):
        Tagger().trainer(job_of(tmp_path, tree_rows(), task="text"))
    with pytest.raises(DataError, match="no row can be trained on"):
        Tagger().trainer(job_of(tmp_path, [replace(row, target="") for row in tree_rows()]))
    with pytest.raises(ConfigError, match="Did you mean 'tagger'"):
        student.kind("taggr")


def test_unseen_words_keep_their_features() -> None:
    words = WordFeatures.learn([("running", "jumping")] * 2, 100)
    ids = words.encode(("singing", "running"))
    assert ids[0, 0] == UNKNOWN
    assert ids[0, 6] == ids[1, 6] != UNKNOWN
