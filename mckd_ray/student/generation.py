"""Greedy generation for whole batches, of only what a guide allows, from both kinds of language model."""

import gc
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.cache_utils import Cache, DynamicLayer, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from mckd_ray.errors import ModelError
from mckd_ray.student.guides import Guide
from mckd_ray.student.pieces import Pieces
from mckd_ray.student.writers import Ids

SHRINK = 0.75
"""Finished rows leave the batch once no more than this share of it is unfinished."""
ROOM = 64
"""Pieces that a cache first has room for."""


@contextmanager
def _no_collection() -> Iterator[None]:
    """Put garbage collection off: guides make many small objects, and to look through all others takes 0.3 s."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_no_collection()
@torch.inference_mode()
def write(decoder: "Decoder", guide: Guide) -> npt.NDArray[np.float64]:
    """Let a model write all outputs of `guide`, greedily; returns mean log-probabilities.

    They are those of the model before anything was ruled out, over all pieces that it chose, the end included; NaN
    where it chose none.
    """
    rows = np.arange(len(guide))  # Which output each row of the batch belongs to.
    sums, lengths = np.zeros(len(guide)), np.zeros(len(guide), np.int64)
    while (writing := guide.writing(rows)).any():
        if writing.mean() <= SHRINK:
            decoder.keep(np.flatnonzero(writing))
            rows, writing = rows[writing], writing[writing]
        pieces, places, scores = decoder.step(guide.options(rows))
        guide.take(rows[writing], pieces[writing], places[writing])
        sums[rows[writing]] += scores[writing]
        lengths[rows[writing]] += 1
    means: npt.NDArray[np.float64] = np.divide(sums, lengths, out=np.full(len(guide), math.nan), where=lengths > 0)
    return means


class Decoder(ABC):
    """A model that writes on at a batch of outputs, a piece of each at a time."""

    _last: torch.Tensor
    """What it reads next, (B, pieces)."""

    def step(self, options: Ids | None) -> tuple[Ids, Ids, npt.NDArray[np.float32]]:
        """The likeliest of each row's options (None: of all pieces), its place among them, and its log-probability.

        That is the one among all pieces. `options` are (B, W).
        """
        logits = self._logits().float()
        if options is None:
            places = chosen = logits.argmax(1, keepdim=True)
        else:
            legal = torch.from_numpy(options).to(logits.device)
            places = logits.gather(1, legal).argmax(1, keepdim=True)
            chosen = legal.gather(1, places)
        self._last = chosen
        scores = logits.gather(1, chosen)[:, 0] - logits.logsumexp(1)
        return chosen[:, 0].cpu().numpy(), places[:, 0].cpu().numpy(), scores.cpu().numpy()

    @abstractmethod
    def _logits(self) -> torch.Tensor:
        """Read the last pieces; (B, V) logits for the next ones."""

    @abstractmethod
    def keep(self, rows: Ids) -> None:
        """Go on with these rows of the batch only."""


class EncoderDecoder(Decoder):
    """An encoder-decoder, over a batch of sources."""

    def __init__(self, model: Any, sources: Sequence[Sequence[int]], pieces: Pieces) -> None:
        """Reads the sources. Raises ModelError if the model's configs don't say how an output starts."""
        inputs, mask = _padded(sources, pieces.pad, left=False)
        self._model, self._mask = model, mask.to(model.device)
        with torch.inference_mode():
            encoder = model.get_encoder()
            self._encoded = encoder(input_ids=inputs.to(model.device), attention_mask=self._mask).last_hidden_state
        self._cache = EncoderDecoderCache(_growing_cache(), _growing_cache())
        opening = [start_piece(model), *pieces.before]
        self._last = torch.tensor([opening] * len(sources), device=model.device)

    def keep(self, rows: Ids) -> None:
        """Go on with these rows of the batch only."""
        index = torch.from_numpy(rows).to(self._last.device)
        self._encoded, self._mask, self._last = self._encoded[index], self._mask[index], self._last[index]
        for cache in (self._cache.self_attention_cache, self._cache.cross_attention_cache):
            cache.batch_select_indices(index)

    def _logits(self) -> torch.Tensor:
        output = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoded),
            attention_mask=self._mask,
            decoder_input_ids=self._last,
            past_key_values=self._cache,
            use_cache=True,
        )
        logits: torch.Tensor = output.logits[:, -1]
        return logits


class DecoderOnly(Decoder):
    """A causal language model, over a batch of prompts."""

    def __init__(self, model: Any, prompts: Sequence[Sequence[int]], pieces: Pieces) -> None:
        """Nothing is read yet."""
        inputs, mask = _padded(prompts, pieces.pad, left=True)
        self._model, self._last, self._mask = model, inputs.to(model.device), mask.to(model.device)
        self._positions = (self._mask.cumsum(1) - 1).clamp(min=0)
        self._cache = _growing_cache()

    def keep(self, rows: Ids) -> None:
        """Go on with these rows of the batch only."""
        index = torch.from_numpy(rows).to(self._last.device)
        self._mask, self._last, self._positions = self._mask[index], self._last[index], self._positions[index]
        self._cache.batch_select_indices(index)

    def _logits(self) -> torch.Tensor:
        output = self._model(
            input_ids=self._last,
            attention_mask=self._mask,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self._mask = torch.cat([self._mask, torch.ones_like(self._mask[:, :1])], 1)
        self._positions = self._positions[:, -1:] + 1
        logits: torch.Tensor = output.logits[:, -1]
        return logits


class GrowingLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer's cache with room for pieces to come: a step writes one, and copies the others only now and then."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the new keys and values, (B, heads, new, width); returns all."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states[:, :, :0], value_states[:, :, :0]
            self._rooms = [key_states[:, :, :0], value_states[:, :, :0]]
        before = self.keys.shape[2]  # type: ignore[union-attr]
        after = before + key_states.shape[2]
        if after > self._rooms[0].shape[2]:
            self._grow(after)
        for room, new in zip(self._rooms, (key_states, value_states), strict=True):
            room[:, :, before:after] = new
        self.keys, self.values = (room[:, :, :after] for room in self._rooms)
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        """Go on with these rows only."""
        if self.is_initialized:
            size = self.keys.shape[2]  # type: ignore[union-attr]
            self._rooms = [room[indices] for room in self._rooms]
            self.keys, self.values = (room[:, :, :size] for room in self._rooms)

    def _grow(self, least: int) -> None:
        for place, room in enumerate(self._rooms):
            size = room.shape[2]
            larger = room.new_empty((*room.shape[:2], max(least, 2 * size, ROOM), room.shape[3]))
            larger[:, :, :size] = room
            self._rooms[place] = larger


def _growing_cache() -> Cache:
    return Cache(layer_class_to_replicate=GrowingLayer)


def start_piece(model: Any) -> int:
    """The piece before the first one of each output. Raises ModelError if the model's configs don't say."""
    for config in (model.config, model.generation_config):
        piece = getattr(config, "decoder_start_token_id", None)
        if piece is not None:
            return int(piece)
    raise ModelError("the model's config has no decoder_start_token_id: it doesn't say how an output starts.")


def _padded(rows: Sequence[Sequence[int]], pad: int, left: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of pieces as one tensor, filled up with `pad` at one side, and the mask of what is not padding."""
    width = max(map(len, rows))
    ids = np.full((len(rows), width), pad)
    mask = np.zeros((len(rows), width), np.int64)
    for number, row in enumerate(rows):
        where = slice(width - len(row), None) if left else slice(len(row))
        ids[number, where], mask[number, where] = row, 1
    return torch.from_numpy(ids), torch.from_numpy(mask)
