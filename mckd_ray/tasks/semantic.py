"""Slot filling with intent: the canonical target is `INTENT TAG1 ... TAGn`, with BIO tags."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from mckd_ray.records import Example
from mckd_ray.tasks.base import Counts, Errors, Linearisation, Task
from mckd_ray.tasks.majority import majority_annotation
from mckd_ray.tasks.rows import read_id, read_text, read_words
from mckd_ray.tasks.slot_errors import slot_errors
from mckd_ray.tasks.slot_frames import Frame
from mckd_ray.tasks.slot_scores import count_annotation, percent, sentence_f1, slot_names, slot_scores
from mckd_ray.tasks.slot_sequences import Interleaved, Tags
from mckd_ray.tasks.slot_tags import SemanticTags
from mckd_ray.tasks.slots import NO_INTENT, Annotation, check_annotation, read_annotation


class Semantic(Task):
    """Intent and slots of a sentence. Rows: `{"id", "tokens", "tags", "intent"}`; without an intent it is `_`."""

    name = "semantic"
    summary = "slot filling and intent classification of an utterance"
    linearisations: ClassVar[Mapping[str, Linearisation]] = {
        each.name: each for each in (Interleaved(), Tags(), Frame())
    }
    tags = SemanticTags()
    metrics = ("slot_f1", "slot_precision", "slot_recall", "intent_accuracy", "exact_match", "tag_accuracy")
    primary = "slot_f1"
    per_example = "slot_f1"

    def read(self, row: Mapping[str, Any]) -> tuple[Example, str | None]:
        """The tokens, and the annotation if the row has `tags`. Raises DataError."""
        example = Example(read_id(row), tokens=read_words(row, "tokens"))
        if row.get("tags") is None:
            return example, None
        intent = NO_INTENT if row.get("intent") is None else read_text(row, "intent")
        annotation = Annotation(intent, read_words(row, "tags"))
        check_annotation(annotation, example.tokens)
        return example, str(annotation)

    def write(self, example: Example, target: str) -> dict[str, Any]:
        """The row of the normalised corpora."""
        annotation = read_annotation(target)
        return {
            "id": example.id,
            "tokens": list(example.tokens),
            "tags": list(annotation.tags),
            "intent": annotation.intent,
        }

    def check(self, target: str, example: Example) -> str:
        """`target` itself, if it is an intent and a legal tag for each token. Raises DataError."""
        check_annotation(read_annotation(target), example.tokens)
        return target

    def counts(self, gold: str, predicted: str | None, example: Example) -> Counts:
        """Chunks as conlleval counts them, of all slots and of each; right tags and intents; exact matches."""
        answer = None if predicted is None else read_annotation(predicted)
        return count_annotation(read_annotation(gold), answer)

    def scores(self, total: Counts) -> dict[str, float]:
        """Corpus scores. exact_match: all tags and the intent are right."""
        precision, recall, f1 = slot_scores(total)
        return {
            "slot_f1": f1,
            "slot_precision": precision,
            "slot_recall": recall,
            "intent_accuracy": percent(total["correct_intents"], total["sentences"]),
            "exact_match": percent(total["exact"], total["sentences"]),
            "tag_accuracy": percent(total["correct_tags"], total["tokens"]),
        }

    def example_value(self, counts: Counts) -> float:
        """Slot F1 of the sentence; 100 where there is no slot and none was found, 0 where there is no answer."""
        return sentence_f1(counts)

    def errors(self, gold: str, predicted: str | None, example: Example) -> Errors:
        """Slots missed, invented, of a wrong type or boundary, and wrong intents (see `slot_errors.py`)."""
        return slot_errors(read_annotation(gold), None if predicted is None else read_annotation(predicted))

    def breakdown(self, total: Counts) -> dict[str, dict[str, float]]:
        """Precision, recall and F1 of each slot, and how often it was found."""
        table = {}
        for slot in slot_names(total):
            precision, recall, f1 = slot_scores(total, slot)
            found = total.get(f"found_chunks:{slot}", 0)
            table[slot] = {"precision": precision, "recall": recall, "f1": f1, "found": found}
        return table

    def combined(self, candidates: Sequence[str], example: Example) -> str:
        """The intent of most candidates, and the chunks that more than half of them have."""
        return str(majority_annotation([read_annotation(candidate) for candidate in candidates]))
