"""The errors of an intent and slots by kind: missed, invented, wrong type, boundary, intent.

Each chunk of the answer is paired with at most one of gold, by the first rule that fits: same tokens; same slot and
some tokens in common; some tokens in common. What is left over was invented, or missed.
"""

from collections import Counter
from collections.abc import Callable

from mckd_ray.tasks.base import NOTHING, Errors
from mckd_ray.tasks.slots import Annotation, Chunk, read_chunks

KINDS = ("missed", "invented", "wrong type", "boundary", "type and boundary", "intent", "no answer")


def slot_errors(gold: Annotation, predicted: Annotation | None) -> Errors:
    """The errors of `predicted` (None: no answer), an annotation of the same tokens."""
    kinds = Counter(dict.fromkeys(KINDS, 0))
    slots: Counter[tuple[str, str]] = Counter()
    intents: Counter[tuple[str, str]] = Counter()
    if predicted is None:
        kinds["no answer"] += 1
        return Errors(kinds, {"slots": slots, "intents": intents})
    wanted, found = read_chunks(gold.tags), read_chunks(predicted.tags)
    aligned = _pair(wanted, found, lambda ours, theirs: (ours.start, ours.end) == (theirs.start, theirs.end))
    shifted = _pair(wanted, found, lambda ours, theirs: ours.slot == theirs.slot and _overlap(ours, theirs))
    crossed = _pair(wanted, found, _overlap)
    kinds["wrong type"] = sum(ours.slot != theirs.slot for ours, theirs in aligned)
    kinds["boundary"], kinds["type and boundary"] = len(shifted), len(crossed)
    kinds["missed"], kinds["invented"] = len(wanted), len(found)
    kinds["intent"] = int(gold.intent != predicted.intent)
    slots.update((ours.slot, theirs.slot) for ours, theirs in aligned + shifted + crossed)
    slots.update((chunk.slot, NOTHING) for chunk in wanted)
    slots.update((NOTHING, chunk.slot) for chunk in found)
    intents[gold.intent, predicted.intent] += 1
    return Errors(kinds, {"slots": slots, "intents": intents})


def _overlap(ours: Chunk, theirs: Chunk) -> bool:
    return ours.start < theirs.end and theirs.start < ours.end


def _pair(wanted: list[Chunk], found: list[Chunk], fit: Callable[[Chunk, Chunk], bool]) -> list[tuple[Chunk, Chunk]]:
    """Take fitting pairs out of both lists, left to right."""
    pairs = []
    for theirs in list(found):
        ours = next((chunk for chunk in wanted if fit(chunk, theirs)), None)
        if ours is not None:
            wanted.remove(ours)
            found.remove(theirs)
            pairs.append((ours, theirs))
    return pairs
