"""Students in CTranslate2: the same labels as in torch, valid in 8 bits, and the faster of the two where asked."""

import shutil
from pathlib import Path

import pytest
import torch
import transformers

from mckd_ray import student
from mckd_ray.config import TrainingConfig
from mckd_ray.errors import ModelError
from mckd_ray.plan.identity import model_identity
from mckd_ray.records import Example, Outcome
from mckd_ray.serving.export import export
from mckd_ray.serving.models import find
from mckd_ray.student.base import Generation, Labeller
from mckd_ray.student.card import own_files
from mckd_ray.student.ctranslate2_labeller import CTranslate2Labeller
from mckd_ray.student.engines import Faster
from mckd_ray.student.seq2seq import read_student
from mckd_ray.tasks import TASKS
from tests.students import FRAMES, examples_of, rows_of, train
from tests.test_seq2seq import job_of

pytest.importorskip("ctranslate2")
KNOWN = examples_of(FRAMES)
UNKNOWN = [Example("u", ("ünseen", "wörds", ";", "(x)")), Example("v", ("new", "york", "jazz", "fly"))]
LONG = Example("long", ("word",) * 200)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A student that knows three frames by heart."""
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("student")
    training = TrainingConfig(steps=120, batch_size=12, learning_rate=5e-3, dropout=0.0)
    train(job_of(path, "semantic", "interleaved", rows_of(FRAMES * 4), training=training), path / "model")
    return path / "model"


def nobody() -> Labeller:
    raise AssertionError("torch was asked")


def test_what_it_knows_it_writes_without_torch(folder: Path) -> None:
    _, pieces, settings = read_student(folder)
    labels = CTranslate2Labeller(folder, "float32", pieces, settings, nobody).label(KNOWN)
    assert [label.target for label in labels] == [target for _, target in FRAMES]
    assert {label.outcome for label in labels} == {Outcome.OK}


def test_the_labels_are_those_of_torch(folder: Path) -> None:
    examples = [*KNOWN, LONG, *UNKNOWN]
    usual = student.load(folder).label(examples)
    other = student.load(folder, Generation("ctranslate2")).label(examples)
    for one, two in zip(usual, other, strict=True):
        assert (one.id, one.target, one.raw, one.outcome, one.reason) == (
            two.id, two.target, two.raw, two.outcome, two.reason
        )  # fmt: skip
        assert one.confidence == pytest.approx(two.confidence, abs=1e-3, nan_ok=True)


def test_eight_bits_are_valid(folder: Path) -> None:
    labeller = student.load(folder, Generation("ctranslate2", "int8"))
    assert labeller.engine.endswith(" int8")
    for label, example in zip(labeller.label([*KNOWN, *UNKNOWN]), [*KNOWN, *UNKNOWN], strict=True):
        assert TASKS["semantic"].check(label.target, example) == label.target


def test_it_is_converted_once(folder: Path) -> None:
    student.load(folder, Generation("ctranslate2"))
    (model,) = folder.glob("ctranslate2-float32/model.bin")
    before = model.stat().st_mtime_ns
    student.load(folder, Generation("ctranslate2"))
    assert model.stat().st_mtime_ns == before


def test_an_export_has_what_the_engine_needs_and_is_the_same_model(folder: Path, tmp_path: Path) -> None:
    student.load(folder, Generation("ctranslate2"))
    exported = export(str(folder), tmp_path / "out")
    assert exported.digest == find(str(folder)).digest
    made, identity = exported.folder / "ctranslate2-float32", model_identity(str(exported.folder))
    assert (made / "model.bin").is_file()
    shutil.rmtree(made)
    assert model_identity(str(exported.folder)) == identity


def test_auto_takes_the_faster_one_and_says_so(folder: Path) -> None:
    labeller = student.load(folder, Generation("auto"))
    assert isinstance(labeller, Faster)
    few = labeller.label(KNOWN)
    assert labeller.engine.startswith("torch ")
    many = labeller.label(KNOWN * 50)
    assert "times as fast as" in labeller.engine
    assert [label.target for label in many] == [label.target for label in few] * 50


def test_what_can_not_be_converted_says_why(folder: Path, tmp_path: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.unk_token = None
    for file in own_files(folder):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    tokenizer.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"no unk_token.*; or set student\.engine=torch"):
        student.load(tmp_path, Generation("ctranslate2"))
    assert student.load(tmp_path, Generation("auto")).engine.startswith("torch ")
