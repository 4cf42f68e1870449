"""The two scores of trees against hand-made cases and against what the reference programs answered."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from mckd_ray.errors import LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.bracket_scores import evalb_counts, unlabelled_counts
from mckd_ray.tasks.trees import Tree, constituents, read_tree
from tests.random_trees import example_of, trees

TASK = TASKS["constituency"]
GOLD = read_tree("(S (NP (DT the) (NN cat)) (VP (VBZ sleeps) (ADVP (RB very) (RB well))) (. .))")


def rows(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)


def test_unlabelled_f1_compares_spans_without_punctuation() -> None:
    predicted = read_tree("(X (X the) (X (X (X cat) (X sleeps)) (X (X very) (X well)) (X .)))")
    counts = unlabelled_counts(GOLD, predicted)
    # Gold: the-cat, sleeps-well, very-well, all. Predicted: cat-well, cat-sleeps, very-well, all.
    assert counts["unlabelled_precision"] == counts["unlabelled_recall"] == counts["unlabelled_f1"] == 0.5


def test_evalb_f1_compares_labels_and_knows_equal_ones() -> None:
    predicted = read_tree("(S (NP (DT the) (NN cat)) (NP (NN sleeps) (PRT (RB very) (RB well))) (. .))")
    assert evalb_counts(GOLD, predicted) == {
        "evalb_scored": 1,
        "evalb_matched": 3,
        "evalb_gold": 4,
        "evalb_predicted": 4,
        "evalb_crossing": 0,
        "evalb_complete": 0,
        "evalb_words": 5,
        "evalb_tags": 4,
    }


def test_no_answer_is_counted() -> None:
    assert unlabelled_counts(GOLD, None) == {
        "sentences": 1,
        "unlabelled_f1": 0,
        "unlabelled_precision": 0,
        "unlabelled_recall": 0,
    }
    assert evalb_counts(GOLD, None) == {"evalb_scored": 0}


def test_an_unlabelled_tree_is_scored_by_evalb_without_a_right_label() -> None:
    counts = evalb_counts(GOLD, read_tree("(X (X (X the) (X cat)) (X (X sleeps) (X (X very) (X well))) (X .))"))
    assert (counts["evalb_scored"], counts["evalb_matched"], counts["evalb_tags"]) == (1, 0, 0)


@settings(deadline=None)
@given(trees())
def test_a_tree_is_its_own_best_answer(tree: Tree) -> None:
    unlabelled, labelled = unlabelled_counts(tree, tree), evalb_counts(tree, tree)
    assert unlabelled["unlabelled_f1"] == 1
    assert labelled["evalb_matched"] == labelled["evalb_gold"] == labelled["evalb_predicted"]
    assert labelled["evalb_complete"] == 1
    assert labelled["evalb_tags"] == labelled["evalb_words"]
    assert labelled["evalb_crossing"] == 0


@settings(deadline=None)
@given(trees(), trees())
def test_unlabelled_figures_are_those_of_the_sets_of_spans(gold: Tree, other: Tree) -> None:
    example = example_of(gold)
    predicted = read_tree(TASK.linearisations["words"].repair(str(other), example))
    gold = _as_nouns(gold)
    counts, mirrored = unlabelled_counts(gold, predicted), unlabelled_counts(_as_nouns(predicted), gold)
    wanted, found = ({(a, b) for _, a, b in constituents(tree) if b - a > 1} for tree in (gold, predicted))
    precision, recall = counts["unlabelled_precision"], counts["unlabelled_recall"]
    assert precision == (len(wanted & found) / len(found) if found else 1)
    assert (precision, recall) == (mirrored["unlabelled_recall"], mirrored["unlabelled_precision"])
    assert counts["unlabelled_f1"] == pytest.approx(2 * precision * recall / (precision + recall))


def _as_nouns(tree: Tree) -> Tree:
    """The tree without punctuation tags."""
    if tree.word is not None:
        return Tree("NN", (), tree.word)
    return Tree(tree.label, tuple(_as_nouns(child) for child in tree.children))


def test_unlabelled_f1_agrees_with_the_papers_scorer(data: Path) -> None:
    words = TASK.linearisations["words"]
    agreed, better = 0, Counter[str]()
    for row in rows(data / "oracles" / "unlabelled-f1.jsonl"):
        example, gold = TASK.read({"id": row["id"], "tree": row["gold"]})
        assert gold is not None
        if row["corrupted"]:
            repaired = TASK.scores(TASK.counts(gold, words.repair(row["raw"], example), example))["unlabelled_f1"]
            assert repaired >= 100 * row["f1"] - 1e-9
            better["parsed" if row["parsed"] else "not parsed"] += repaired > 100 * row["f1"] + 1e-9
            continue
        scores = TASK.scores(TASK.counts(gold, words.read(row["raw"], example), example))
        wanted = {f"unlabelled_{name}": pytest.approx(100 * row[name]) for name in ("f1", "precision", "recall")}
        assert {name: scores[name] for name in wanted} == wanted, row["id"]
        agreed += 1
    assert agreed == 311
    # Of 150 damaged answers the reference cannot read 24, and misreads 17 of those that it reads.
    assert better == {"not parsed": 24, "parsed": 17}


def test_damaged_answers_are_not_taken_for_well_formed_ones(data: Path) -> None:
    words = TASK.linearisations["words"]
    for row in rows(data / "oracles" / "unlabelled-f1.jsonl"):
        if row["corrupted"]:
            with pytest.raises(LinearisationError):
                words.read(row["raw"], Example(row["id"]))


def test_evalb_figures_agree_with_the_reference_program_on_every_line(data: Path) -> None:
    names = {
        "matched": "matched",
        "gold_brackets": "gold",
        "predicted_brackets": "predicted",
        "crossing": "crossing",
        "scored_words": "words",
        "correct_tags": "tags",
    }
    statuses = Counter[int]()
    for row in rows(data / "oracles" / "evalb-collins.jsonl"):
        example, gold = TASK.read({"id": row["id"], "tree": row["gold"]})
        assert gold is not None
        assert len(example.tokens) == row["words"]
        counts = TASK.counts(gold, row["predicted"], example)
        assert {theirs: counts.get(f"evalb_{ours}", 0) for theirs, ours in names.items()} == {
            theirs: row[theirs] for theirs in names
        }, row["id"]
        assert counts["evalb_scored"] == 1 - row["status"]
        scores = TASK.scores(counts)
        assert [round(scores[f"evalb_{name}"], 2) for name in ("recall", "precision", "tagging")] == pytest.approx(
            [row["recall"], row["precision"], row["tag_accuracy"]], abs=0.0051
        )
        statuses[row["status"]] += 1
    assert statuses == {0: 361, 1: 100}


def test_corpus_figures_pool_brackets_and_show_what_evalb_skipped(data: Path) -> None:
    total, lines = Counter[str](), list(rows(data / "oracles" / "evalb-collins.jsonl"))
    for row in lines:
        example, gold = TASK.read({"id": row["id"], "tree": row["gold"]})
        total.update(TASK.counts(gold or "", row["predicted"], example))
    matched, gold_brackets, predicted = (
        sum(row[name] for row in lines) for name in ("matched", "gold_brackets", "predicted_brackets")
    )
    scores = TASK.scores(total)
    assert scores["evalb_recall"] == pytest.approx(100 * matched / gold_brackets)
    assert scores["evalb_precision"] == pytest.approx(100 * matched / predicted)
    assert scores["evalb_f1"] == pytest.approx(200 * matched / (gold_brackets + predicted))
    assert scores["evalb_coverage"] == pytest.approx(100 * 361 / 461)
