"""From answers to labels: strict, repaired, not at all; and several samples by consensus."""

import math

import pytest

from mckd_ray.records import Answer, Example, Label, Outcome
from mckd_ray.tasks import TASKS
from mckd_ray.teacher.reading import label_of

TREE = TASKS["constituency"]
CAT = Example("cat", ("the", "cat", "sleeps"))
RIGHT = "(S (NP (DT the ) (NN cat ) ) (VP (VBZ sleeps ) ) )"
WRONG = "(S (DT the ) (VP (NN cat ) (VBZ sleeps ) ) )"
CHATTER = f"Sure! Here is the tree:\n```\n{RIGHT[:-2]}\n```\nIs there more?"


def label(*texts: str, logprobs: tuple[float, ...] = ()) -> Label:
    answer = Answer("k", texts, logprobs or (-0.5,) * len(texts))
    return label_of(CAT, answer, TREE.linearisations["labelled-words"], TREE)


def test_one_answer_is_the_label() -> None:
    one = label(RIGHT)
    assert (one.outcome, one.raw, one.confidence) == (Outcome.OK, RIGHT, -0.5)
    assert one.target == "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"


def test_chatter_and_fences_are_repaired_and_the_raw_text_kept() -> None:
    repaired = label(CHATTER)
    assert (repaired.outcome, repaired.raw, repaired.target) == (Outcome.REPAIRED, CHATTER, label(RIGHT).target)


@pytest.mark.parametrize(("text", "outcome"), [("", Outcome.UNPARSABLE), ("I can't.", Outcome.UNPARSABLE)])
def test_nothing_to_read(text: str, outcome: Outcome) -> None:
    assert label(text).outcome is outcome
    assert label(text).reason


def test_a_failure_is_a_failed_row_with_its_reason() -> None:
    failed = label_of(CAT, Answer("k", failure="too long"), TREE.linearisations["labelled-words"], TREE)
    assert (failed.outcome, failed.reason, failed.target) == (Outcome.FAILED, "too long", "")


def test_the_sample_that_agrees_best_wins_whatever_its_probability() -> None:
    most = label(WRONG, RIGHT, RIGHT, logprobs=(-0.1, -2.0, -3.0))
    assert most.raw == RIGHT
    assert most.confidence < 0


def test_full_agreement_is_full_confidence() -> None:
    assert label(RIGHT, RIGHT).confidence == 0


def test_what_cannot_be_read_agrees_with_nothing() -> None:
    assert label("", RIGHT, RIGHT).confidence == pytest.approx(math.log(1 / 2))
    assert label("", "", RIGHT).target == label(RIGHT).target
    assert label("", "", RIGHT).confidence == -math.inf
    assert label("", "no").outcome is Outcome.UNPARSABLE
