"""The constituency task: rows in and out, canonical targets, scores."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from mckd_ray.errors import DataError
from mckd_ray.records import Example
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.trees import Tree
from tests.random_trees import example_of, trees

TASK = TASKS["constituency"]
TREE = "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"
CAT = Example("cat", ("the", "cat", "sleeps"))


def test_a_row_is_read_and_scored() -> None:
    example, gold = TASK.read({"id": "cat", "tokens": ["the", "cat", "sleeps"], "tree": f"(TOP {TREE})", "doc": "d"})
    assert (example, gold) == (CAT, TREE)
    scores = TASK.scores(TASK.counts(TREE, TREE, CAT))
    assert scores == dict.fromkeys(TASK.metrics, 100.0)


def test_tokens_or_tree_may_be_missing() -> None:
    assert TASK.read({"id": "cat", "tokens": list(CAT.tokens)}) == (CAT, None)
    assert TASK.read({"id": "cat", "tokens": list(CAT.tokens), "tree": None}) == (CAT, None)
    assert TASK.read({"id": "cat", "tree": f"( {TREE} )"}) == (CAT, TREE)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"tokens": ["a"]}, "'id'"),
        ({"id": "x"}, "neither 'tokens' nor 'tree'"),
        ({"id": "x", "tokens": []}, "one at least"),
        ({"id": "x", "tokens": "a b"}, "list of strings"),
        ({"id": "x", "tokens": ["a b"]}, "white space"),
        ({"id": "x", "tokens": ["a", ""]}, "'tokens' 2 is ''"),
        ({"id": "x", "tree": 3}, "a string is needed"),
        ({"id": "x", "tree": "(NP (NN a)"}, "unbalanced tree"),
        ({"id": "x", "tokens": ["b"], "tree": "(NP (NN a))"}, "not the tokens"),
        ({"id": "x", "tree": "(NP|S (NN a))"}, "label 'NP|S'"),
        ({"id": "x", "tree": "((NN a) (NN b))"}, "empty label"),
    ],
)
def test_a_malformed_row_is_refused_with_its_reason(row: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError) as error:
        TASK.read(row)
    assert reason in str(error.value)


@settings(deadline=None)
@given(trees())
def test_rows_round_trip(tree: Tree) -> None:
    example, target = example_of(tree), str(tree)
    assert TASK.read(TASK.write(example, target)) == (example, target)
    assert TASK.check(target.replace(")", " )\n"), example) == target


def test_a_target_over_other_tokens_is_refused() -> None:
    with pytest.raises(DataError, match="not the tokens"):
        TASK.check(TREE.replace("cat", "dog"), CAT)


def test_an_input_without_an_answer_lowers_the_score_and_is_seen() -> None:
    total = Counter(TASK.counts(TREE, TREE, CAT))
    total.update(TASK.counts(TREE, None, CAT))
    scores = TASK.scores(total)
    assert scores["unlabelled_f1"] == 50
    assert (scores["evalb_f1"], scores["evalb_coverage"]) == (100, 50)
    assert TASK.example_value(TASK.counts(TREE, None, CAT)) == 0


def test_no_inputs_at_all_score_nothing() -> None:
    assert TASK.scores({}) == dict.fromkeys(TASK.metrics, 0.0)


def test_the_consensus_is_the_tree_that_agrees_most() -> None:
    flat, right = "(S (DT the) (NN cat) (VBZ sleeps))", "(S (DT the) (VP (NN cat) (VBZ sleeps)))"
    assert TASK.consensus([right, TREE, TREE], CAT) == 1
    assert TASK.consensus([flat, flat, TREE], CAT) == 0
    assert TASK.consensus([TREE], CAT) == 0


def test_every_linearisation_brings_real_trees_through(data: Path) -> None:
    for name in ("craft/dev.jsonl", "ptb/dev.jsonl"):
        for line in (data / name).read_text(encoding="utf-8").splitlines()[:100]:
            example, gold = TASK.read(json.loads(line))
            assert gold is not None
            for linearisation in TASK.linearisations.values():
                parsed = linearisation.parse(linearisation.linearise(gold, example), example)
                assert TASK.check(parsed, example) == parsed
                assert TASK.example_value(TASK.counts(gold, parsed, example)) == 100
                assert linearisation.name == "words" or parsed == gold
