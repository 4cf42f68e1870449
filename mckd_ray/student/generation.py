"""Greedy generation from an encoder-decoder, of only what is legal for each input.

A `Writer` follows one output: it says which pieces may come next, and takes the piece that was chosen. `write` runs
the model for many of them at once.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from mckd_ray.errors import ModelError
from mckd_ray.student.endings import Endings
from mckd_ray.student.pieces import Pieces
from mckd_ray.tasks.base import LegalSymbols

Ids = npt.NDArray[np.int64]
Path = tuple["Path", str] | None
"""Symbols, last first, as a linked list: paths share their beginnings."""

_TIGHT = 16
"""With so many pieces to spare or fewer, each next symbol is checked for whether the output can still end in time."""


class Writer(ABC):
    """One output in the making, of at most `limit` pieces, its end included."""

    limit: int
    length = 0

    @abstractmethod
    def options(self) -> Ids | None:
        """The pieces of which one comes next; None for any, none at all if the output can't go on."""

    @abstractmethod
    def take(self, piece: int) -> None:
        """Go on with `piece`."""

    @property
    @abstractmethod
    def ended(self) -> bool:
        """Whether the output is complete."""

    @property
    @abstractmethod
    def text(self) -> str:
        """The output."""


class FreeWriter(Writer):
    """Any pieces, until the end."""

    def __init__(self, pieces: Pieces, limit: int) -> None:
        """An output of any text."""
        self._pieces, self.limit = pieces, limit
        self.ids: list[int] = []
        self._ended = False

    def options(self) -> Ids | None:
        """Any piece."""
        return None

    def take(self, piece: int) -> None:
        """Go on with `piece`."""
        self.length += 1
        self._ended = piece == self._pieces.end
        self.ids.append(piece)

    @property
    def ended(self) -> bool:
        """Whether the model has written the end."""
        return self._ended

    @property
    def text(self) -> str:
        """What was written so far."""
        return self._pieces.decode(self.ids)


@dataclass(eq=False)
class Node:
    """A node of a trie over the pieces of symbols; `symbols` are those that are complete here.

    More than one is: a tokenizer may write different symbols alike, such as two of unknown characters.
    """

    children: dict[int, "Node"] = field(default_factory=dict)
    symbols: list[str] = field(default_factory=list)
    ids: Ids | None = None
    """The keys of `children` as an array, once it was asked for."""

    def add(self, ids: Sequence[int], symbol: str) -> None:
        """Enter `symbol`."""
        node = self
        for index in ids:
            node = node.children.setdefault(index, Node())
        node.symbols.append(symbol)


class Tries:
    """The tries of sets of allowed symbols, each built once."""

    def __init__(self, pieces: Pieces) -> None:
        """Tries over the pieces of `pieces`."""
        self.pieces = pieces
        self._known: dict[tuple[str, ...], Node] = {}

    def of(self, symbols: tuple[str, ...]) -> Node:
        """The root of the trie of `symbols`."""
        root = self._known.get(symbols)
        if root is None:
            root = Node()
            for symbol in symbols:
                root.add(self.pieces.symbol(symbol), symbol)
            if len(self._known) < 10_000:
                self._known[symbols] = root
        return root


@dataclass(frozen=True)
class _Reading:
    """One way to read the pieces so far: whole symbols that led to `state`, then what led to `node` of the next one."""

    state: Hashable
    path: Path
    node: Node
    may_end: bool


class LegalWriter(Writer):
    """A linearisation of the language `legal`, whatever ways there are to read the pieces so far."""

    def __init__(self, legal: LegalSymbols, tries: Tries, limit: int, endings: Endings | None = None) -> None:
        """An output of at most `limit` pieces, its end included; with `endings` one that ends within them if it can."""
        self._legal, self._tries, self.limit = legal, tries, limit
        self._end, self._endings = tries.pieces.end, endings
        self._next_check = 0
        self._path: Path = None
        self._ended = False
        self._readings = [self._boundary(legal.start, None)]

    def options(self) -> Ids | None:
        """The pieces that some reading can go on with."""
        if len(self._readings) == 1 and not self._readings[0].may_end:
            first = self._readings[0]
            if first.node.ids is None:
                first.node.ids = np.fromiter(first.node.children, np.int64)
            return first.node.ids
        ids = {index: None for reading in self._readings for index in reading.node.children}
        if any(reading.may_end for reading in self._readings):
            ids[self._end] = None
        return np.fromiter(ids, np.int64)

    def take(self, piece: int) -> None:
        """Go on with `piece`, one of the options."""
        self.length += 1
        if piece == self._end:
            self._path = next(reading.path for reading in self._readings if reading.may_end)
            self._ended = True
            return
        readings = [after for reading in self._readings for after in self._after(reading, piece)]
        # Of readings that have the same future, the first one stands for all.
        self._readings = list({(each.state, id(each.node)): each for each in reversed(readings)}.values())[::-1]

    def _after(self, reading: _Reading, piece: int) -> Iterator[_Reading]:
        """What `reading` may go on as with `piece`."""
        node = reading.node.children.get(piece)
        if node is None:
            return
        if node.children:
            yield _Reading(reading.state, reading.path, node, may_end=False)
        for symbol in node.symbols:
            state = self._legal.advance(reading.state, symbol)
            yield self._boundary(state, (reading.path, symbol))

    @property
    def ended(self) -> bool:
        """Whether the linearisation is complete."""
        return self._ended

    @property
    def text(self) -> str:
        """The linearisation; empty before its end."""
        path = self._path
        symbols: list[str] = []
        while path is not None:
            path, symbol = path
            symbols.append(symbol)
        return " ".join(reversed(symbols))

    def _boundary(self, state: Hashable, path: Path) -> _Reading:
        symbols = self._legal.allowed(state)
        if self._endings is not None and self.length >= self._next_check:
            symbols = self._in_time(state, symbols, self._endings)
        return _Reading(state, path, self._tries.of(symbols), self._legal.complete(state))

    def _in_time(self, state: Hashable, symbols: tuple[str, ...], endings: Endings) -> tuple[str, ...]:
        """Those of `symbols` after which the output can still end within its limit."""
        room = self.limit - 1 - self.length
        spare = room - endings.distance(state, room)
        if spare < 0:
            return ()
        if spare > _TIGHT:
            self._next_check = self.length + int(spare) // 4
            return symbols
        return tuple(symbol for symbol in symbols if endings.after(state, symbol, room) <= room)


def start_piece(model: Any) -> int:
    """The piece before the first one of each output. Raises ModelError if the model's configs don't say."""
    for config in (model.config, model.generation_config):
        piece = getattr(config, "decoder_start_token_id", None)
        if piece is not None:
            return int(piece)
    raise ModelError("the model's config has no decoder_start_token_id: it doesn't say how an output starts.")


class _Decoder:
    """The model's decoder over a batch of sources: one step of all of them at a time."""

    def __init__(self, model: Any, sources: Sequence[Sequence[int]], pieces: Pieces) -> None:
        inputs = torch.full((len(sources), max(map(len, sources))), pieces.pad)
        mask = torch.zeros_like(inputs)
        for row, source in enumerate(sources):
            inputs[row, : len(source)] = torch.tensor(source)
            mask[row, : len(source)] = 1
        self._model, self._mask = model, mask.to(model.device)
        encoder = model.get_encoder()
        self._encoded = encoder(input_ids=inputs.to(model.device), attention_mask=self._mask).last_hidden_state
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        opening = [start_piece(model), *pieces.before]
        self._last = torch.tensor([opening] * len(sources), device=model.device)

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with these rows of the batch only."""
        index = torch.tensor(rows, device=self._last.device)
        self._encoded, self._mask, self._last = self._encoded[index], self._mask[index], self._last[index]
        self._cache.batch_select_indices(index)

    def step(self, options: Sequence[Ids | None]) -> tuple[list[int], list[float]]:
        """The likeliest of each row's options (None: of all pieces), and its log-probability among all pieces."""
        output = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoded),
            attention_mask=self._mask,
            decoder_input_ids=self._last,
            past_key_values=self._cache,
            use_cache=True,
        )
        logits = output.logits[:, -1].float()
        chosen = _best(logits, options)
        self._last = chosen[:, None]
        scores = logits.gather(1, self._last)[:, 0] - logits.logsumexp(1)
        return chosen.tolist(), scores.tolist()


def _best(logits: torch.Tensor, options: Sequence[Ids | None]) -> torch.Tensor:
    """The index of the highest of each row's options, (B,), in (B, V) logits."""
    bound = [(row, ids) for row, ids in enumerate(options) if ids is not None]
    best = logits.argmax(1) if len(bound) < len(options) else torch.empty(len(options), dtype=torch.long)
    best = best.to(logits.device)
    if bound:
        width = max(len(ids) for _, ids in bound)
        # Short rows are filled up with their first option, which changes no maximum.
        table = np.stack([np.concatenate([ids, np.full(width - len(ids), ids[0])]) for _, ids in bound])
        legal = torch.from_numpy(table).to(logits.device)
        rows = torch.tensor([row for row, _ in bound], device=logits.device)
        place = logits[rows].gather(1, legal).argmax(1, keepdim=True)
        best[rows] = legal.gather(1, place)[:, 0]
    return best


@torch.inference_mode()
def write(model: Any, sources: Sequence[Sequence[int]], writers: Sequence[Writer], pieces: Pieces) -> list[float]:
    """Let `model` write the outputs of `writers`, greedily, each from its source; returns mean log-probabilities.

    Each writer is left ended, without options, or at its limit. The log-probabilities are those of the model before
    anything was ruled out, over all pieces that it chose, the end included; NaN where it chose none.
    """
    decoder = _Decoder(model, sources, pieces)
    nothing = np.array([pieces.pad])
    rows = list(range(len(writers)))  # Which writer each row of the batch belongs to.
    sums = [0.0] * len(writers)
    options = _open_options(writers, rows)
    while options:
        if len(options) <= 0.75 * len(rows):
            decoder.keep([place for place, row in enumerate(rows) if row in options])
            rows = [row for row in rows if row in options]
        chosen, scores = decoder.step([options.get(row, nothing) for row in rows])
        for row, piece, score in zip(rows, chosen, scores, strict=True):
            if row in options:
                writers[row].take(piece)
                sums[row] += score
        options = _open_options(writers, options)
    return [total / writer.length if writer.length else math.nan for total, writer in zip(sums, writers, strict=True)]


def _open_options(writers: Sequence[Writer], rows: Iterable[int]) -> dict[int, Ids | None]:
    """The options of each of `rows` whose writer can go on."""
    options: dict[int, Ids | None] = {}
    for row in rows:
        writer = writers[row]
        if writer.ended or writer.length >= writer.limit:
            continue
        ids = writer.options()
        if ids is None or len(ids):
            options[row] = ids
    return options
