"""Text-to-text: the plain linearisation, and scores that equal those of the libraries."""

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from mckd_ray.errors import DataError
from mckd_ray.records import Example
from mckd_ray.tasks import TASKS

TASK = TASKS["text"]
PLAIN = TASK.linearisations["plain"]
EXAMPLE = Example("1", text="the input")
WORDS = ["the", "cat", "sat", "on", "a", "mat", ".", ",", "Über", "3.5", "don't"]


def score(pairs: list[tuple[str, str | None]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for gold, predicted in pairs:
        for key, value in TASK.counts(gold, predicted, EXAMPLE).items():
            total[key] = total.get(key, 0) + value
    return TASK.scores(total)


def test_a_row_is_read_scored_and_written() -> None:
    row = {"id": "1", "text": "guten Morgen", "target": "good morning"}
    example, target = TASK.read(row)
    assert (example, target) == (Example("1", text="guten Morgen"), "good morning")
    assert PLAIN.parse(PLAIN.linearise("good morning", example), example) == "good morning"
    assert TASK.write(example, "good morning") == row
    assert score([("good morning", "good morning")])["exact_match"] == 100
    assert TASK.tags is None
    assert PLAIN.legal(example, PLAIN.inventory([])) is None


@given(st.text())
def test_any_text_is_a_target(text: str) -> None:
    target = TASK.check(text, EXAMPLE)
    assert target == text.strip()
    assert PLAIN.parse(PLAIN.linearise(target, EXAMPLE), EXAMPLE) == target
    assert PLAIN.repair(text, EXAMPLE) == PLAIN.parse(text, EXAMPLE) == target


@settings(max_examples=50)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 12))
def test_corpus_scores_are_those_of_the_libraries(seed: int, size: int) -> None:
    choice = random.Random(seed)
    golds = [" ".join(choice.choices(WORDS, k=choice.randint(1, 12))) for _ in range(size)]
    answers = [" ".join(word for word in gold.split() if choice.random() < 0.8) for gold in golds]
    scores = score(list(zip(golds, answers, strict=True)))
    assert scores["bleu"] == BLEU().corpus_score(answers, [golds]).score
    assert scores["chrf"] == CHRF().corpus_score(answers, [golds]).score
    rouge = RougeScorer(["rougeL"])
    pairs = list(zip(golds, answers, strict=True))
    assert scores["rouge_l"] == pytest.approx(100 * sum(rouge.score(*pair)["rougeL"].fmeasure for pair in pairs) / size)
    assert scores["exact_match"] == pytest.approx(100 * sum(gold == answer for gold, answer in pairs) / size)


def test_the_value_of_one_example_is_its_chrf() -> None:
    counts = TASK.counts("the cat sat", "the cat sits", EXAMPLE)
    assert TASK.example_value(counts) == CHRF().sentence_score("the cat sits", ["the cat sat"]).score


def test_an_empty_prediction_is_a_prediction_and_none_is_not() -> None:
    assert score([("", "")])["exact_match"] == 100
    assert score([("", None)])["exact_match"] == 0
    assert score([("a cat", "")]) == score([("a cat", None)])


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"id": "1", "text": " "}, "'text' is empty"),
        ({"id": "1", "target": "b"}, "'text' is None"),
        ({"id": "1", "text": "a", "target": 5}, "'target' is 5"),
        ({"text": "a", "target": "b"}, "'id' is None"),
    ],
)
def test_a_malformed_row_is_refused_with_a_reason(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        TASK.read(row)


def test_a_row_may_lack_its_target() -> None:
    assert TASK.read({"id": "1", "text": "a"}) == (Example("1", text="a"), None)
