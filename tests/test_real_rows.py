"""Students that know nothing write something valid for every test row of the real corpora, whatever the engine."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mckd_ray import student
from mckd_ray.config import LabellingResources
from mckd_ray.records import Example, Label, Outcome, TrainingRow
from mckd_ray.student.base import Generation, TrainingJob
from mckd_ray.tasks import TASKS
from mckd_ray.teacher.reading import label_of
from mckd_ray.teacher.student_prompts import as_teacher, start
from tests import test_causal, test_seq2seq, test_tagger
from tests.engines import ask
from tests.students import of_student

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
CORPORA = {"craft": "constituency", "ptb": "constituency", "atis": "semantic", "snips": "semantic"}
CASES = [(corpus, name) for corpus, task in CORPORA.items() for name in sorted(TASKS[task].linearisations)]
CAUSAL = [case for case in CASES if case[1] == "interleaved"]
LONGEST = {"max_source": 3000, "max_target": 9000}
TRAINED_ON = 200


def read(data: Path, corpus: str, split: str) -> list[tuple[Example, str]]:
    lines = (data / corpus / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [TASKS[CORPORA[corpus]].read(json.loads(line)) for line in lines]
    return [(example, target or "") for example, target in rows]


def training_rows(data: Path, corpus: str) -> list[TrainingRow]:
    return [TrainingRow(one.id, one.tokens, "", target) for one, target in read(data, corpus, "train")[:TRAINED_ON]]


def untrained(data: Path, corpus: str, name: str, folder: Path, make: Any) -> TrainingJob:
    job: TrainingJob = make(folder, CORPORA[corpus], name, training_rows(data, corpus))
    scratch = job.student.scratch.model_copy(update={"width": 16, "heads": 2, "vocabulary": 2000})
    return replace(job, student=job.student.model_copy(update={**LONGEST, "scratch": scratch}))


def save(job: TrainingJob, folder: Path) -> None:
    """The student of `job` as it is before its first step."""
    kind = student.kind(job.student.kind)
    kind.save(kind.trainer(job), job, folder)


def check_all_valid(data: Path, corpus: str, folder: Path, generation: Generation) -> None:
    torch.set_num_threads(1)
    check_labels(data, corpus, student.load(folder, generation).label)


def check_labels(data: Path, corpus: str, label_all: Callable[[list[Example]], list[Label]]) -> None:
    examples = [example for example, _ in read(data, corpus, "test")]
    task = TASKS[CORPORA[corpus]]
    for label, example in zip(label_all(examples), examples, strict=True):
        assert label.outcome is Outcome.OK, label
        assert task.check(label.target, example) == label.target


@pytest.mark.parametrize("corpus", CORPORA)
def test_a_tagger(corpus: str, data: Path, tmp_path: Path) -> None:
    job = test_tagger.job_of(tmp_path, training_rows(data, corpus), CORPORA[corpus])
    save(job, tmp_path / "model")
    check_all_valid(data, corpus, tmp_path / "model", Generation())


@pytest.mark.parametrize(("corpus", "name"), CASES)
def test_an_encoder_decoder_in_torch(corpus: str, name: str, data: Path, tmp_path: Path) -> None:
    job = untrained(data, corpus, name, tmp_path, test_seq2seq.job_of)
    save(job, tmp_path / "model")
    check_all_valid(data, corpus, tmp_path / "model", Generation())


@pytest.mark.parametrize("quantization", [None, "int8"])
@pytest.mark.parametrize(("corpus", "name"), [case for case in CASES if case[1] == "tags"])
def test_an_encoder_decoder_in_ctranslate2(
    corpus: str, name: str, quantization: Any, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ctranslate2")
    job = untrained(data, corpus, name, tmp_path, test_seq2seq.job_of)
    job = replace(job, student=job.student.model_copy(update={"max_target": 400}))
    save(job, tmp_path / "model")
    check_all_valid(data, corpus, tmp_path / "model", Generation("ctranslate2", quantization))


@pytest.mark.parametrize(("corpus", "name"), CAUSAL)
def test_a_decoder_in_torch(corpus: str, name: str, data: Path, tmp_path: Path) -> None:
    job = untrained(data, corpus, name, tmp_path, test_causal.job_of)
    save(job, tmp_path / "model")
    check_all_valid(data, corpus, tmp_path / "model", Generation())


@pytest.mark.parametrize(("corpus", "name"), CAUSAL)
def test_a_decoder_in_vllm(corpus: str, name: str, data: Path, tmp_path: Path) -> None:
    pytest.importorskip("vllm", reason="vLLM is not installed: run `make install`")
    job = untrained(data, corpus, name, tmp_path, test_causal.job_of)
    wider = job.student.scratch.model_copy(update={"width": 64})  # vLLM's attention has no heads below 32.
    job = of_student(job, scratch=wider)
    save(job, tmp_path / "model")
    engine = start(tmp_path / "model", *as_teacher(tmp_path / "model", LabellingResources()))
    task = TASKS[CORPORA[corpus]]

    def label_all(examples: list[Example]) -> list[Label]:
        answers = ask(engine, examples, shots=())
        pairs = zip(examples, answers, strict=True)
        return [label_of(example, answer, task.linearisations[name], task) for example, answer in pairs]

    check_labels(data, corpus, label_all)
