"""Intent and slots as the factors that a tagger writes at once, and the best legal BIO sequence by Viterbi."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from mckd_ray.records import Example
from mckd_ray.tasks.base import Factor, Scores, TagScheme, TagSequence
from mckd_ray.tasks.slots import Annotation, read_annotation

Indices = npt.NDArray[np.intp]
Totals = npt.NDArray[np.float64]


class SemanticTags(TagScheme):
    """A BIO tag for each token, and the intent of the sentence."""

    factors = (Factor("tag", "token"), Factor("intent", "sentence"))

    def split(self, target: str, example: Example) -> dict[str, tuple[str, ...]]:
        """The tags, and the intent."""
        annotation = read_annotation(target)
        return {"tag": annotation.tags, "intent": (annotation.intent,)}

    def join(self, values: Mapping[str, Sequence[str]], example: Example) -> str:
        """The canonical target."""
        return str(Annotation(values["intent"][0], tuple(values["tag"])))

    def best(
        self, scores: Mapping[str, Scores], vocabularies: Mapping[str, Sequence[str]], lengths: Sequence[int]
    ) -> list[TagSequence]:
        """The best tags under which I-x follows B-x or I-x only, and the best intent, for each sentence."""
        sizes = np.asarray(lengths, dtype=np.intp)
        tags, totals = best_bio(scores["tag"], vocabularies["tag"], sizes)
        intents = scores["intent"].argmax(axis=1)
        totals += np.take_along_axis(scores["intent"], intents[:, None], axis=1)[:, 0]
        return [
            TagSequence({"tag": tuple(row[:size]), "intent": (intent,)}, total / (size + 1))
            for row, size, intent, total in zip(
                tags.tolist(), sizes.tolist(), intents.tolist(), totals.tolist(), strict=True
            )
        ]


def best_bio(scores: Scores, tags: Sequence[str], lengths: Indices) -> tuple[Indices, Totals]:
    """The legal tag sequences (B, T) of highest total score, and the totals (B), for scores (B, T, V).

    Rows are valid up to their length. An I- can only be reached from two tags, so a step costs V, not V squared. An I-
    whose B- is not one of `tags` is never legal.
    """
    inside, begin, orphans = _inside_tags(tags)
    order = np.argsort(-lengths, kind="stable")
    ranked, steps = lengths[order], scores.shape[1]
    # Sentences by falling length: those that reach step t are always the first active[t] rows.
    active = [int(np.searchsorted(-ranked, -step, side="left")) for step in range(steps + 1)]
    emissions = scores[order]
    best = np.zeros((len(lengths), len(tags)))
    free_from = np.zeros((steps, len(lengths)), dtype=np.intp)
    from_begin = np.zeros((steps, len(lengths), len(inside)), dtype=bool)
    for step in range(steps):
        rows = active[step]
        if not rows:
            break
        before = best[:rows]
        free_from[step, :rows] = before.argmax(axis=1)
        after = np.repeat(before.max(axis=1)[:, None], len(tags), axis=1)
        if step:
            started, continued = before[:, begin], before[:, inside]
            from_begin[step, :rows] = started >= continued
            after[:, inside] = np.maximum(started, continued)
        else:
            after[:, inside] = -np.inf
        after[:, orphans] = -np.inf
        best[:rows] = after + emissions[:rows, step]
    paths = _trace(best, ranked, active, free_from, from_begin, (inside, begin))
    result, totals = np.empty_like(paths), np.empty(len(lengths))
    result[order], totals[order] = paths, np.where(ranked > 0, best.max(axis=1), 0.0)
    return result, totals


def _trace(
    best: Totals,
    lengths: Indices,
    active: Sequence[int],
    free_from: Indices,
    from_begin: npt.NDArray[np.bool_],
    inside_begin: tuple[Indices, Indices],
) -> Indices:
    """The paths (B, T) that end in the best tag of each sentence's last step."""
    inside, begin = inside_begin
    sentences, steps = len(lengths), len(free_from)
    column = np.full(best.shape[1], -1)
    column[inside] = np.arange(len(inside))
    paths = np.zeros((sentences, steps), dtype=np.intp)
    ends = np.flatnonzero(lengths)
    paths[ends, lengths[ends] - 1] = best[ends].argmax(axis=1)
    for step in range(steps - 1, 0, -1):
        rows = np.arange(active[step])
        tag = paths[rows, step]
        place = column[tag]
        previous = free_from[step, rows]
        if len(inside):
            started = from_begin[step, rows, place]
            previous = np.where(place < 0, previous, np.where(started, begin[place], tag))
        paths[rows, step - 1] = previous
    return paths


def _inside_tags(tags: Sequence[str]) -> tuple[Indices, Indices, Indices]:
    """The indices of the I- tags, those of the B- tags that they continue, and those of I- tags without one."""
    index = {tag: place for place, tag in enumerate(tags)}
    inside = [place for tag, place in index.items() if tag.startswith("I-") and f"B-{tag[2:]}" in index]
    orphans = [place for tag, place in index.items() if tag.startswith("I-") and f"B-{tag[2:]}" not in index]
    begin = [index[f"B-{tags[place][2:]}"] for place in inside]
    return np.array(inside, dtype=np.intp), np.array(begin, dtype=np.intp), np.array(orphans, dtype=np.intp)
