"""The constituency task: one labelled Penn tree over the tokens of a sentence.

Its canonical target is the tree on one line with single spaces, `(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))`.
"""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mckd_ray.errors import DataError
from mckd_ray.records import Example
from mckd_ray.tasks.base import Counts, Errors, Linearisation, TagScheme, Task
from mckd_ray.tasks.bracket_scores import evalb_counts, unlabelled_counts
from mckd_ray.tasks.brackets import LabelledWordsLinearisation, WordsLinearisation
from mckd_ray.tasks.majority import majority_tree
from mckd_ray.tasks.rows import read_id, read_text, read_words
from mckd_ray.tasks.tree_errors import tree_errors
from mckd_ray.tasks.tree_sequences import InterleavedTags
from mckd_ray.tasks.tree_tags import TagsLinearisation, TreeTags
from mckd_ray.tasks.trees import Tree, check_labels, check_leaves, read_tree, strip_root


class Constituency(Task):
    """Trees, scored by the paper's unlabelled F1 and by EVALB's labelled F1 (see `bracket_scores.py`).

    Metrics: `unlabelled_f1`, `_precision`, `_recall`: means over all sentences, 0 for one without an answer.
    `evalb_f1`, `_precision`, `_recall`, `_complete` (trees with every bracket right), `_tagging` (words with the right
    tag): as EVALB computes them with COLLINS parameters, over the sentences that it scores. It skips sentences without
    an answer or with another number of words after punctuation is deleted by each tree's own tags; `evalb_coverage` is
    the share that it scored, and below 100 the other five flatter. Trees from unlabelled linearisations get about 0.
    """

    name: ClassVar[str] = "constituency"
    summary = "constituency parsing: a labelled tree over the tokens of a sentence"
    linearisations: ClassVar[Mapping[str, Linearisation]] = {
        linearisation.name: linearisation
        for linearisation in (
            WordsLinearisation(),
            LabelledWordsLinearisation(),
            TagsLinearisation(),
            InterleavedTags(),
        )
    }
    tags: ClassVar[TagScheme | None] = TreeTags()
    metrics: ClassVar[tuple[str, ...]] = (
        "unlabelled_f1",
        "unlabelled_precision",
        "unlabelled_recall",
        "evalb_f1",
        "evalb_precision",
        "evalb_recall",
        "evalb_complete",
        "evalb_tagging",
        "evalb_coverage",
    )
    primary: ClassVar[str] = "unlabelled_f1"
    per_example: ClassVar[str] = "unlabelled_f1"

    def read(self, row: Mapping[str, Any]) -> tuple[Example, str | None]:
        """A row `{"id", "tokens", "tree"}`; one of `tokens` and `tree` may be missing or None.

        The tree may stand in an outer bracket that is TOP, ROOT or without a label.
        """
        identifier, text = read_id(row), row.get("tree")
        if text is None:
            if row.get("tokens") is None:
                raise DataError("neither 'tokens' nor 'tree': one of them must be there")
            return Example(identifier, read_words(row, "tokens")), None
        tree = strip_root(read_tree(read_text(row, "tree")))
        words = {"tokens": _words(tree)} if row.get("tokens") is None else row
        example = Example(identifier, read_words(words, "tokens"))
        return example, _canonical(tree, example)

    def write(self, example: Example, target: str) -> dict[str, Any]:
        """The row with `id`, `tokens` and `tree`."""
        return {"id": example.id, "tokens": list(example.tokens), "tree": target}

    def check(self, target: str, example: Example) -> str:
        """`target` on one line with single spaces, without an outer TOP or ROOT; raises DataError."""
        return _canonical(strip_root(read_tree(target)), example)

    def counts(self, gold: str, predicted: str | None, example: Example) -> Counts:
        """Sums for both scores. `predicted` may also be a tree over other words, as the scorers of both take it."""
        tree = read_tree(gold)
        guess = None if predicted is None else strip_root(read_tree(predicted))
        return {**unlabelled_counts(tree, guess), **evalb_counts(tree, guess)}

    def scores(self, total: Counts) -> dict[str, float]:
        """All of `metrics` from summed counts; a metric with nothing to count is 0."""
        sentences, scored = total.get("sentences", 0.0), total.get("evalb_scored", 0.0)
        matched, gold, predicted = (total.get(f"evalb_{name}", 0.0) for name in ("matched", "gold", "predicted"))
        return {
            **{name: _percent(total.get(name, 0.0), sentences) for name in self.metrics[:3]},
            "evalb_f1": _percent(2 * matched, gold + predicted),
            "evalb_precision": _percent(matched, predicted),
            "evalb_recall": _percent(matched, gold),
            "evalb_complete": _percent(total.get("evalb_complete", 0.0), scored),
            "evalb_tagging": _percent(total.get("evalb_tags", 0.0), total.get("evalb_words", 0.0)),
            "evalb_coverage": _percent(scored, sentences),
        }

    def example_value(self, counts: Counts) -> float:
        """The sentence's unlabelled F1, 0 to 100."""
        return 100.0 * counts["unlabelled_f1"]

    def combined(self, candidates: Sequence[str], example: Example) -> str:
        """The tree of the spans that most of the candidates have: that of highest expected span agreement."""
        return str(majority_tree([read_tree(candidate) for candidate in candidates]))

    def errors(self, gold: str, predicted: str | None, example: Example) -> Errors:
        """Constituents with a wrong label, attachment or boundary, missed or invented (see `tree_errors.py`)."""
        return tree_errors(read_tree(gold), None if predicted is None else strip_root(read_tree(predicted)))


def _canonical(tree: Tree, example: Example) -> str:
    check_labels(tree)
    check_leaves(tree, example.tokens)
    return str(tree)


def _words(tree: Tree) -> list[str | None]:
    return [leaf.word for leaf in tree.leaves()]


def _percent(part: float, whole: float) -> float:
    return 100.0 * part / whole if whole else 0.0
