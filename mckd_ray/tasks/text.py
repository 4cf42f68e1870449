"""Any text to any text: the canonical target is the target itself, without white space around it."""

from collections.abc import Mapping
from typing import Any, ClassVar

from mckd_ray.errors import DataError
from mckd_ray.records import Example
from mckd_ray.tasks.base import Counts, Linearisation, Task
from mckd_ray.tasks.rows import read_id, read_text
from mckd_ray.tasks.text_scores import bleu, chrf, count_text


class Plain(Linearisation):
    """The target as it is. Every text is legal, the empty one too."""

    name = "plain"

    def linearise(self, target: str, example: Example) -> str:
        """`target`."""
        return target

    def parse(self, text: str, example: Example) -> str:
        """`text` without white space around it."""
        return text.strip()

    def repair(self, text: str, example: Example) -> str:
        """The same: there is nothing to repair."""
        return text.strip()


class Text(Task):
    """Text-to-text. Rows: `{"id", "text", "target"}`.

    The primary metric is chrF: unlike an exact match it grades, and unlike BLEU it works for one sentence, for short
    targets and for any script.
    """

    name = "text"
    summary = "text to text"
    hub_task = "text-generation"
    linearisations: ClassVar[Mapping[str, Linearisation]] = {"plain": Plain()}
    tags = None
    metrics = ("chrf", "bleu", "rouge_l", "exact_match")
    primary = "chrf"
    per_example = "chrf"

    def read(self, row: Mapping[str, Any]) -> tuple[Example, str | None]:
        """The text, and the target if the row has one. Raises DataError."""
        text = read_text(row, "text").strip()
        if not text:
            raise DataError("'text' is empty: each row needs an input")
        target = None if row.get("target") is None else read_text(row, "target").strip()
        return Example(read_id(row), text=text), target

    def write(self, example: Example, target: str) -> dict[str, Any]:
        """`id`, `text` and `target`."""
        return {"id": example.id, "text": example.text, "target": target}

    def check(self, target: str, example: Example) -> str:
        """`target` without white space around it; every text is a target."""
        return target.strip()

    def counts(self, gold: str, predicted: str | None, example: Example) -> Counts:
        """What BLEU, chrF and ROUGE-L need. No answer counts as an empty one, but never as an exact match."""
        return count_text(gold, predicted)

    def scores(self, total: Counts) -> dict[str, float]:
        """Corpus BLEU and chrF as sacrebleu's defaults give them; mean ROUGE-L F1 and exact matches."""
        return {
            "chrf": chrf(total),
            "bleu": bleu(total),
            "rouge_l": 100.0 * total["rouge_l"] / total["sentences"],
            "exact_match": 100.0 * total["exact"] / total["sentences"],
        }

    def example_value(self, counts: Counts) -> float:
        """The sentence's chrF."""
        return chrf(counts)
