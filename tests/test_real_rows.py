"""Students that know nothing write something valid for every test row of the real corpora, whatever the engine."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mckd_ray import student
from mckd_ray.records import Example, Outcome, TrainingRow
from mckd_ray.student.base import Generation, TrainingJob
from mckd_ray.tasks import TASKS
from tests import test_causal, test_seq2seq

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


def untrained(data: Path, corpus: str, name: str, folder: Path, make: Any) -> TrainingJob:
    rows = [TrainingRow(one.id, one.tokens, "", target) for one, target in read(data, corpus, "train")[:TRAINED_ON]]
    job: TrainingJob = make(folder, CORPORA[corpus], name, rows)
    scratch = job.student.scratch.model_copy(update={"width": 16, "heads": 2, "vocabulary": 2000})
    return replace(job, student=job.student.model_copy(update={**LONGEST, "scratch": scratch}))


def check_all_valid(data: Path, corpus: str, folder: Path, generation: Generation) -> None:
    torch.set_num_threads(1)
    examples = [example for example, _ in read(data, corpus, "test")]
    labels = student.load(folder, generation).label(examples)
    task = TASKS[CORPORA[corpus]]
    for label, example in zip(labels, examples, strict=True):
        assert label.outcome is Outcome.OK, label
        assert task.check(label.target, example) == label.target


@pytest.mark.parametrize(("corpus", "name"), CASES)
def test_an_encoder_decoder_in_torch(corpus: str, name: str, data: Path, tmp_path: Path) -> None:
    job = untrained(data, corpus, name, tmp_path, test_seq2seq.job_of)
    kind = student.kind("seq2seq")
    kind.save(kind.trainer(job), job, tmp_path / "model")
    check_all_valid(data, corpus, tmp_path / "model", Generation())


@pytest.mark.parametrize("quantization", [None, "int8"])
@pytest.mark.parametrize(("corpus", "name"), [case for case in CASES if case[1] == "tags"])
def test_an_encoder_decoder_in_ctranslate2(
    corpus: str, name: str, quantization: Any, data: Path, tmp_path: Path
) -> None:
    pytest.importorskip("ctranslate2")
    job = untrained(data, corpus, name, tmp_path, test_seq2seq.job_of)
    job = replace(job, student=job.student.model_copy(update={"max_target": 400}))
    kind = student.kind("seq2seq")
    kind.save(kind.trainer(job), job, tmp_path / "model")
    check_all_valid(data, corpus, tmp_path / "model", Generation("ctranslate2", quantization))


@pytest.mark.parametrize(("corpus", "name"), CAUSAL)
def test_a_decoder_in_torch(corpus: str, name: str, data: Path, tmp_path: Path) -> None:
    job = untrained(data, corpus, name, tmp_path, test_causal.job_of)
    kind = student.kind("causal")
    kind.save(kind.trainer(job), job, tmp_path / "model")
    check_all_valid(data, corpus, tmp_path / "model", Generation())
