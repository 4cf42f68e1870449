"""Constrained answers of a random language model in vLLM: all parse, where without a constraint none would."""

import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from mckd_ray.corpora.builtin import target_rows
from mckd_ray.errors import LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import Linearisation
from mckd_ray.teacher.constraints import BACKEND, Constraint
from mckd_ray.teacher.vllm_engine import CPU_ENVIRONMENT
from tests.random_llama import save_random_llama

vllm: Any = pytest.importorskip("vllm", reason="vLLM is not installed: run `make install`")

Case = tuple[Example, str]
CONTEXT = 8192
"""Room for the longest answers: up to 7 n + 16 symbols for n words."""


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    texts = [f"{row['tokens']} {row['tree']}" for row in rows("constituency")]
    folder = save_random_llama(tmp_path_factory.mktemp("llama"), CONTEXT, texts, vocabulary=600)
    with pytest.MonkeyPatch.context() as patch:
        if not torch.cuda.is_available():
            for name, value in CPU_ENVIRONMENT.items():
                patch.setitem(os.environ, name, value)
        yield vllm.LLM(str(folder), enforce_eager=True, structured_outputs_config={"backend": BACKEND})


def rows(task: str, count: int = 80) -> list[dict[str, Any]]:
    return target_rows(task, {"labelled": count}, seed=1)["labelled"]


def read(task: str, lines: Sequence[dict[str, Any]]) -> list[Case]:
    pairs = [TASKS[task].read(line) for line in lines]
    return [(example, target) for example, target in pairs if target is not None]


def ask(engine: Any, linearisation: Linearisation, examples: list[Example], **settings: Any) -> list[Any]:
    """What the model writes, at temperature 1; prints how fast."""
    prompts = [f"Sentence: {example.source}\n{linearisation.name}:" for example in examples]
    constraints = settings.pop("constraints", [None] * len(examples))
    sampling = [
        vllm.SamplingParams(temperature=1, structured_outputs=constraint, **settings) for constraint in constraints
    ]
    start = time.perf_counter()
    outputs = [output.outputs[0] for output in engine.generate(prompts, sampling, use_tqdm=False)]
    seconds = time.perf_counter() - start
    tokens = sum(len(output.token_ids) for output in outputs)
    constrained = "constrained" if constraints[0] else "free"
    print(
        f"{linearisation.name}, {constrained}: {tokens:,} tokens in {seconds:.1f} s, {tokens / seconds:,.0f} tokens/s"
    )
    return outputs


def check_answers(engine: Any, task: str, name: str, shots: list[Case], asked: list[Case]) -> None:
    linearisation = TASKS[task].linearisations[name]
    constraint = Constraint(
        "grammar", linearisation, linearisation.inventory((target, example) for example, target in shots)
    )
    examples = [example for example, _ in asked]
    params = vllm.sampling_params.StructuredOutputsParams
    answers = ask(
        engine, linearisation, examples, max_tokens=CONTEXT - 1000,
        constraints=[params(**constraint.structured(example)) for example in examples],
    )  # fmt: skip
    assert {answer.finish_reason for answer in answers} == {"stop"}
    for example, answer in zip(examples, answers, strict=True):
        target = linearisation.parse(answer.text.strip(), example)
        assert TASKS[task].check(target, example) == target
    usual = sum(len(answer.token_ids) for answer in answers) // len(answers)
    for example, answer in zip(
        examples, ask(engine, linearisation, examples, max_tokens=usual, ignore_eos=True), strict=True
    ):
        with pytest.raises(LinearisationError):
            linearisation.parse(answer.text.strip(), example)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name"),
    [(task, name) for task in ("constituency", "semantic") for name in sorted(TASKS[task].linearisations)],
)
def test_answers_to_the_builtin_corpus_parse(engine: Any, task: str, name: str) -> None:
    cases = read(task, rows(task))
    check_answers(engine, task, name, cases[:50], cases[50:])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "name", "corpus"),
    [("constituency", "words", "craft"), ("constituency", "labelled-words", "craft"), ("semantic", "frame", "snips")],
)
def test_answers_to_real_rows_parse(engine: Any, task: str, name: str, corpus: str, data: Path) -> None:
    lines = [
        [json.loads(line) for line in itertools.islice((data / corpus / f"{split}.jsonl").open(encoding="utf-8"), size)]
        for split, size in (("train", 50), ("dev", 200))
    ]
    check_answers(engine, task, name, *(read(task, each) for each in lines))


def test_an_expression_holds_too(engine: Any) -> None:
    linearisation = TASKS["constituency"].linearisations["words"]
    (example, _), *_ = read("constituency", rows("constituency"))
    structured = Constraint("regex", linearisation, {}).structured(example)
    params = vllm.sampling_params.StructuredOutputsParams(**structured)
    (answer,) = ask(engine, linearisation, [example], max_tokens=CONTEXT - 1000, constraints=[params])
    words = [piece for piece in answer.text.split() if piece not in "()"]
    assert words == [token for token in example.tokens if token not in "()"]
