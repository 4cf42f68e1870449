"""Two scores of constituency trees, as counts that add up: the paper's unlabelled F1, and EVALB's labelled F1.

They differ in more than labels: the first is a mean over sentences and drops punctuation by gold tag, the second pools
brackets over the corpus and drops punctuation by each tree's own tags. Never compare one with the other.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain, compress, repeat, zip_longest

from mckd_ray.tasks.trees import UNLABELLED, Tree, constituents

PUNCTUATION = frozenset({",", ".", ":", "``", "''", "-LRB-", "-RRB-", "HYPH", "$", "#"})
"""Gold tags of the words that the paper's scorer leaves out."""

COLLINS_DELETED = frozenset({"TOP", "-NONE-", ",", ":", "``", "''", "."})
"""DELETE_LABEL of EVALB's COLLINS.prm: words and brackets with these labels are left out."""

COLLINS_EQUAL = {"PRT": "ADVP"}
"""EQ_LABEL of EVALB's COLLINS.prm."""

Bracket = tuple[str, int, int]


def unlabelled_counts(gold: Tree, predicted: Tree | None) -> dict[str, float]:
    """What one sentence adds to the paper's unlabelled bracketing scores (0 to 1 each; `predicted` None: 0).

    Words with a punctuation tag in gold are left out of both trees, then spans of one word; a span counts once, however
    many constituents cover it; the whole sentence is a span. Where no span is left, a tree scores 1. As in the paper's
    scorer, a tree over other words is scored too: its n-th word is taken for gold's n-th.
    """
    counts = {"sentences": 1.0, "unlabelled_f1": 0.0, "unlabelled_precision": 0.0, "unlabelled_recall": 0.0}
    if predicted is None:
        return counts
    kept = [leaf.label not in PUNCTUATION for leaf in gold.leaves()]
    wanted, found = _spans(gold, kept), _spans(predicted, kept)
    matched = len(wanted & found)
    counts["unlabelled_f1"] = 2 * matched / (len(wanted) + len(found)) if wanted or found else 1.0
    counts["unlabelled_precision"] = matched / len(found) if found else 1.0
    counts["unlabelled_recall"] = matched / len(wanted) if wanted else 1.0
    return counts


def _spans(tree: Tree, kept: Sequence[bool]) -> set[tuple[int, int]]:
    # Words beyond gold's last, which have no gold tag, stay.
    before = list(accumulate(chain(kept, repeat(True, sum(1 for _ in tree.leaves()) - len(kept))), initial=0))
    spans = {(before[start], before[end]) for _, start, end in constituents(tree)}
    return {(start, end) for start, end in spans if end - start > 1}


def evalb_counts(gold: Tree, predicted: Tree | None) -> dict[str, float]:
    """What one sentence adds to EVALB's scores with its COLLINS parameters.

    `evalb_scored` is 1 where EVALB scores the pair, else all counts are 0: no prediction, or the words that are left
    after punctuation is deleted by each tree's own tags differ (EVALB's status 1). Beyond EVALB: a word whose predicted
    tag is unknown (X, as in unlabelled linearisations) is deleted where gold deletes it, so that unlabelled trees are
    scored, with no label and no tag right, instead of being left out.
    """
    if predicted is None:
        return {"evalb_scored": 0.0}
    leaves, guesses = list(gold.leaves()), list(predicted.leaves())
    kept = [leaf.label not in COLLINS_DELETED for leaf in leaves]
    guessed = [_stays(guess, keep) for guess, keep in zip_longest(guesses, kept[: len(guesses)])]
    scored, answers = list(compress(leaves, kept)), list(compress(guesses, guessed))
    if [leaf.word for leaf in scored] != [leaf.word for leaf in answers]:
        return {"evalb_scored": 0.0}
    wanted, found = _brackets(gold, kept), _brackets(predicted, guessed)
    matched = (Counter(wanted) & Counter(found)).total()
    return {
        "evalb_scored": 1.0,
        "evalb_matched": float(matched),
        "evalb_gold": float(len(wanted)),
        "evalb_predicted": float(len(found)),
        "evalb_crossing": float(_crossing(wanted, found)),
        "evalb_complete": float(matched == len(wanted) == len(found)),
        "evalb_words": float(len(scored)),
        "evalb_tags": float(sum(leaf.label == answer.label for leaf, answer in zip(scored, answers, strict=True))),
    }


def _stays(guess: Tree, gold_stays: bool | None) -> bool:
    """Whether EVALB keeps a predicted word; `gold_stays`: whether it keeps gold's word there, None if there is none."""
    if guess.label == UNLABELLED and gold_stays is not None:
        return gold_stays
    return guess.label not in COLLINS_DELETED


def _brackets(tree: Tree, kept: Sequence[bool]) -> list[Bracket]:
    before = list(accumulate(kept, initial=0))
    return [
        (COLLINS_EQUAL.get(label, label), before[start], before[end])
        for label, start, end in constituents(tree)
        if label not in COLLINS_DELETED
    ]


def _crossing(wanted: Sequence[Bracket], found: Sequence[Bracket]) -> int:
    """How many brackets of `found` overlap one of `wanted` without either holding the other."""
    spans = {(start, end) for _, start, end in wanted}
    return sum(any(a < start < b < end or start < a < end < b for a, b in spans) for _, start, end in found)
