"""What a causal student reads and writes: prompts, and sequences of examples up to its context to train on.

The form is that of the few-shot prompts that it may be asked with later: an instruction, then examples, with an empty
line between. So whatever it learns to go on with, it goes on with there.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tokenizers
import torch
from tokenizers import pre_tokenizers, processors

from mckd_ray.student.pieces import Pieces, train_tokenizer
from mckd_ray.tasks.prompt_form import PromptForm

IGNORED = -100
"""The label of a position that is not trained on."""
LONGEST = 256
"""Characters of the longest piece that is made: llguidance ends its process at one of more than 1,024 bytes."""
_OPEN = 16
"""How many sequences are filled at once: more leave less room empty."""


def scratch_tokenizer(texts: Iterable[str], vocabulary: int, form: PromptForm, symbols: Iterable[str]) -> Any:
    """A tokenizer of at most `vocabulary` pieces learned from `texts`, and whole pieces for the rest.

    Those are the fixed parts of `form`, and the `symbols` of a linearisation, each with the space before it: so the
    same pieces come from plain text, as a prompt is.
    """
    tokenizer = train_tokenizer(texts, vocabulary)
    # A text may be the middle of a prompt: nothing is put around it.
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    add_whole(tokenizer, form.fixed)
    add_whole(tokenizer, [f" {symbol}" for symbol in symbols])
    return tokenizer


def add_whole(tokenizer: Any, texts: Iterable[str]) -> None:
    """Make each of `texts` one piece, a long one a few, wherever it stands; what could be a part of a word is left."""
    whole = [part for text in texts for part in _parts(text) if not part.strip().isalnum()]
    tokenizer.add_tokens([tokenizers.AddedToken(text, special=False, normalized=False) for text in whole])


def _parts(text: str) -> list[str]:
    """`text` in as few parts of at most `LONGEST` characters as can be, all about as long."""
    size = math.ceil(len(text) / math.ceil(len(text) / LONGEST)) if text else 1
    return [text[start : start + size] for start in range(0, len(text), size)]


class PromptPieces(Pieces):
    """The pieces of prompts and answers."""

    def __init__(self, tokenizer: Any, form: PromptForm) -> None:
        """`tokenizer`: any of transformers' that a causal model has. Raises ModelError if it has no end piece."""
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        super().__init__(tokenizer)
        self.form = form
        opening: list[int] = tokenizer(form.instruction).input_ids
        self.opening = opening[:-1] if opening[-1:] == [self.end] else opening
        """What every sequence begins with."""

    def source(self, text: str) -> list[int]:
        """The prompt without any other example."""
        return [*self.opening, *self.question(text)]

    def raw(self, text: str) -> list[int]:
        """An input alone, as it stands in an example."""
        return self._plain(self.form.input(text))

    def question(self, text: str) -> list[int]:
        """An example up to its output."""
        return self._plain(self.form.question(text))

    def answer(self, text: str) -> list[int]:
        """An example from its output on."""
        return self._plain(self.form.output(text))


@dataclass(frozen=True)
class Segment:
    """An example in pieces, and how much each piece counts."""

    ids: Sequence[int]
    counts: Sequence[float]


def pack(lengths: Sequence[int], room: int, count: int, seed: int) -> list[list[int]]:
    """`count` sequences of rows, each of at most `room` pieces, of rows of these `lengths`, none above `room`.

    Each pass over the rows is a fresh permutation; a row joins the first of a few open sequences that has room.
    """
    random = np.random.default_rng(seed)
    packed: list[list[int]] = []
    opened: list[tuple[int, list[int]]] = []
    while len(packed) < count:
        for row in map(int, random.permutation(len(lengths))):
            place = next((at for at, (left, _) in enumerate(opened) if left >= lengths[row]), None)
            if place is None:
                if len(opened) == _OPEN:
                    packed.append(opened.pop(0)[1])
                opened.append((room, []))
                place = len(opened) - 1
            left, rows = opened[place]
            rows.append(row)
            opened[place] = (left - lengths[row], rows)
    return packed[:count]


class Packed(torch.utils.data.Dataset[Sequence[Segment]]):
    """Sequences of segments in the order of training."""

    def __init__(self, segments: Sequence[Segment], packs: Sequence[Sequence[int]]) -> None:
        """`packs`: the indices of each sequence's segments."""
        self._segments, self._packs = segments, packs

    def __len__(self) -> int:
        """Sequences."""
        return len(self._packs)

    def __getitem__(self, position: int) -> Sequence[Segment]:
        """The segments of the sequence at a position."""
        return [self._segments[index] for index in self._packs[position]]


class Collator:
    """Sequences to one batch of tensors."""

    def __init__(self, opening: Sequence[int], end: int, pad: int) -> None:
        """`opening` begins each sequence and `end` ends it."""
        self._opening, self._end, self._pad = opening, end, pad

    def __call__(self, sequences: Sequence[Sequence[Segment]]) -> dict[str, torch.Tensor]:
        """`input_ids`, `labels` (what comes next, or ignored) and `weights`, each (B, T)."""
        rows = [self._row(segments) for segments in sequences]
        shape = len(rows), max(len(ids) for ids, _ in rows) - 1
        inputs = torch.full(shape, self._pad)
        labels = torch.full(shape, IGNORED)
        weights = torch.zeros(shape)
        for row, (ids, counts) in enumerate(rows):
            size = len(ids) - 1
            inputs[row, :size] = torch.tensor(ids[:-1])
            weights[row, :size] = torch.tensor(counts[1:])
            labels[row, :size] = torch.where(weights[row, :size] > 0, torch.tensor(ids[1:]), IGNORED)
        return {"input_ids": inputs, "labels": labels, "weights": weights}

    def _row(self, segments: Sequence[Segment]) -> tuple[list[int], list[float]]:
        """The pieces of a sequence, and how much each counts: the end as much as the piece before it."""
        ids, counts = list(self._opening), [0.0] * len(self._opening)
        for segment in segments:
            ids += segment.ids
            counts += segment.counts
        return [*ids, self._end], [*counts, counts[-1]]
