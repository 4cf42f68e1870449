"""Slot F1 over chunks as conlleval counts them, intent accuracy and exact match."""

from collections import Counter

from mckd_ray.tasks.base import Counts
from mckd_ray.tasks.slots import Annotation, read_chunks

KINDS = ("gold_chunks", "found_chunks", "correct_chunks")
"""What is counted of chunks; `kind:slot` is the same of one slot alone."""


def count_annotation(gold: Annotation, predicted: Annotation | None) -> Counts:
    """What one sentence adds to the corpus counts; without an answer nothing was found and nothing is right.

    The tags need not be legal BIO, nor as many as gold's: they are read as conlleval reads them.
    """
    counts: Counter[str] = Counter(sentences=1, tokens=len(gold.tags), answered=int(predicted is not None))
    answer = predicted or Annotation("", ())
    gold_chunks, found_chunks = set(read_chunks(gold.tags)), set(read_chunks(answer.tags))
    for kind, chunks in zip(KINDS, (gold_chunks, found_chunks, gold_chunks & found_chunks), strict=True):
        counts[kind] = len(chunks)
        counts.update(f"{kind}:{chunk.slot}" for chunk in chunks)
    counts["correct_tags"] = sum(a == b for a, b in zip(gold.tags, answer.tags, strict=False))
    counts["correct_intents"] = int(gold.intent == answer.intent)
    counts["exact"] = int(gold == answer)
    return dict(counts)


def slot_scores(total: Counts, slot: str | None = None) -> tuple[float, float, float]:
    """Precision, recall and F1 in percent, of all slots or of one; 0 where there is nothing to divide by."""
    gold, found, correct = (total.get(kind if slot is None else f"{kind}:{slot}", 0) for kind in KINDS)
    return percent(correct, found), percent(correct, gold), percent(2 * correct, gold + found)


def slot_names(total: Counts) -> list[str]:
    """The slots that occur in gold or in answers, sorted."""
    return sorted({key.split(":", 1)[1] for key in total if ":" in key})


def sentence_f1(counts: Counts) -> float:
    """Slot F1 of one sentence, in percent. A sentence without slots has 100 if none was found; no answer has 0."""
    if counts["answered"] and not counts["gold_chunks"] and not counts["found_chunks"]:
        return 100.0
    return slot_scores(counts)[2]


def percent(part: float, whole: float) -> float:
    """`part` of `whole` in percent; 0 of nothing is 0."""
    return 100.0 * part / whole if whole else 0.0
