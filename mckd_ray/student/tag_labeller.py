"""A trained tagger that labels: batches of like length, one pass, then the best legal tags."""

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import nn

from mckd_ray.errors import LinearisationError
from mckd_ray.records import Example, Label, Outcome
from mckd_ray.student.base import Labeller
from mckd_ray.student.readers import Reader
from mckd_ray.student.tag_rows import TagRow, Vocabularies, collate
from mckd_ray.student.tag_scores import factor_logits
from mckd_ray.tasks.base import Factor, Linearisation, Scores, TagScheme, TagSequence

BATCH_TOKENS = 2048
NO_TAGS = np.zeros((0, 1), np.int64)


class TagLabeller(Labeller):
    """Labels with `model`; `constrain` leaves only tag sequences that are legal."""

    def __init__(
        self,
        model: nn.Module,
        reader: Reader,
        scheme: TagScheme,
        tags: Linearisation,
        vocabularies: Vocabularies,
        constrain: bool,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = model.to(self.device).eval()
        self.reader = reader
        self.scheme = scheme
        self.tags = tags
        self.vocabularies = vocabularies
        self.constrain = constrain

    def label(self, examples: Sequence[Example]) -> list[Label]:
        """One label for each example, in order; `raw` are the tags."""
        labels: dict[int, Label] = {}
        for place, example in enumerate(examples):
            reason = self.reader.limit(example.tokens) if example.tokens else "the input has no tokens"
            if reason:
                labels[place] = Label(example.id, "", "", Outcome.FAILED, reason=reason)
        possible = [place for place in range(len(examples)) if place not in labels]
        for places in _batches(possible, examples):
            batch = [examples[place] for place in places]
            labels.update(zip(places, self._label(batch), strict=True))
        return [labels[place] for place in range(len(examples))]

    def _label(self, examples: Sequence[Example]) -> Iterator[Label]:
        scores = self._scores(examples)
        lengths = [len(example.tokens) for example in examples]
        if self.constrain:
            found = self.scheme.best(scores, self.vocabularies, lengths)
        else:
            found = best_anywhere(scores, self.scheme.factors, lengths)
        for example, sequence in zip(examples, found, strict=True):
            yield self._written(example, sequence)

    @torch.inference_mode()
    def _scores(self, examples: Sequence[Example]) -> Mapping[str, Scores]:
        """Log-probabilities of each factor, as `TagScheme.best` takes them."""
        empty = np.zeros(0, np.int64)
        rows = [TagRow(*self.reader.read(example.tokens), NO_TAGS, empty, 1.0) for example in examples]
        batch = {name: part.to(self.device) for name, part in collate(rows, self.reader.pad).items()}
        logits = factor_logits(self.model, batch, self.scheme.factors, self.vocabularies)
        return {name: part.log_softmax(dim=-1).cpu().numpy() for name, part in logits.items()}

    def _written(self, example: Example, sequence: TagSequence) -> Label:
        values = {
            name: [self.vocabularies[name][index] for index in indices] for name, indices in sequence.values.items()
        }
        raw = write_values(values, self.scheme.factors)
        if self.constrain:
            target, outcome, reason = self.scheme.join(values, example), Outcome.OK, ""
        else:
            target, outcome, reason = _read(self.tags, raw, example)
        return Label(example.id, target, raw, outcome, sequence.confidence, reason)


def best_anywhere(scores: Mapping[str, Scores], factors: Sequence[Factor], lengths: Sequence[int]) -> list[TagSequence]:
    """The best value of each place by itself, legal or not."""
    index = {factor.name: scores[factor.name].argmax(axis=-1) for factor in factors}
    best = {factor.name: scores[factor.name].max(axis=-1) for factor in factors}
    found = []
    for row, length in enumerate(lengths):
        values, total = {}, []
        for factor in factors:
            of_token = factor.scope == "token"
            values[factor.name] = tuple(index[factor.name][row, :length]) if of_token else (index[factor.name][row],)
            total += list(best[factor.name][row, :length]) if of_token else [best[factor.name][row]]
        found.append(TagSequence(values, math.fsum(total) / len(total)))
    return found


def write_values(values: Mapping[str, Sequence[str]], factors: Sequence[Factor]) -> str:
    """Tags as the linearisation `tags` writes them: those of the sentence, then a token's values joined with `|`."""
    whole = [values[factor.name][0] for factor in factors if factor.scope == "sentence"]
    tokens = zip(*(values[factor.name] for factor in factors if factor.scope == "token"), strict=True)
    return " ".join((*whole, *("|".join(row) for row in tokens)))


def _read(tags: Linearisation, raw: str, example: Example) -> tuple[str, Outcome, str]:
    try:
        return tags.parse(raw, example), Outcome.OK, ""
    except LinearisationError as error:
        return tags.repair(raw, example), Outcome.REPAIRED, str(error)


def _batches(places: Sequence[int], examples: Sequence[Example]) -> Iterator[list[int]]:
    """The places of examples of like length, at most BATCH_TOKENS padded tokens at a time."""
    batch: list[int] = []
    for place in sorted(places, key=lambda one: len(examples[one].tokens)):
        if batch and (len(batch) + 1) * len(examples[place].tokens) > BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch
