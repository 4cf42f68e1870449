"""Text to and from piece ids: the tokenizer of a seq2seq student, and symbols as whole pieces beside it.

A linearisation is written symbol by symbol (what stands between single spaces), each encoded by itself as it is
after a space, so that training and constrained generation agree whatever the tokenizer does at boundaries. A symbol
that is a piece of its own (a bracket, a label) stands in the tokenizer as `⟨symbol⟩` and never matches in a text.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import tokenizers
import transformers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from mckd_ray.errors import ModelError

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
SENTINELS = tuple(f"<extra_id_{index}>" for index in range(32))
"""What stands for a masked span, as in T5."""
_OPEN, _CLOSE = "⟨", "⟩"
_ANCHOR = "a"


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Any:
    """A byte-level BPE tokenizer (a PreTrainedTokenizerFast) with at most `vocabulary` pieces, learned from `texts`.

    Every string can be written with it. All bytes and special pieces are always in it, so it has at least 291.
    """
    tokenizer = tokenizers.Tokenizer(models.BPE(unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END, UNKNOWN, *SENTINELS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"$A {END}", special_tokens=[(END, tokenizer.token_to_id(END))]
    )
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        unk_token=UNKNOWN,
        extra_special_tokens=list(SENTINELS),
    )


class Pieces:
    """A tokenizer, with whole symbols."""

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer`: any of transformers'. Raises ModelError if it has no piece for the end or for padding."""
        if tokenizer.eos_token_id is None or tokenizer.pad_token_id is None:
            raise ModelError("the model's tokenizer has no piece for the end of a text or for padding.")
        self.tokenizer = tokenizer
        self.end: int = tokenizer.eos_token_id
        self.pad: int = tokenizer.pad_token_id
        frame = tokenizer("").input_ids
        self.before: list[int] = frame[: frame.index(self.end)] if self.end in frame else []
        """What every output starts with, such as BART's <s>."""
        self._anchor = self._plain(_ANCHOR)
        self._whole = {
            piece[1:-1]: index
            for piece, index in tokenizer.get_added_vocab().items()
            if piece.startswith(_OPEN) and piece.endswith(_CLOSE)
        }
        self._symbol_of = {index: symbol for symbol, index in self._whole.items()}
        self._symbols: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        """How many pieces there are."""
        return len(self.tokenizer)

    def add_symbols(self, symbols: Iterable[str]) -> None:
        """Make each of `symbols` a piece of its own, in the order given, where it isn't one yet."""
        new = [symbol for symbol in dict.fromkeys(symbols) if symbol not in self._whole]
        self._add([f"{_OPEN}{symbol}{_CLOSE}" for symbol in new])
        for symbol in new:
            index = self.tokenizer.convert_tokens_to_ids(f"{_OPEN}{symbol}{_CLOSE}")
            self._whole[symbol], self._symbol_of[index] = index, symbol
        self._symbols.clear()

    def sentinels(self) -> list[int]:
        """The pieces that stand for masked spans; those that the tokenizer lacks are added."""
        known = self.tokenizer.get_vocab()
        self._add([sentinel for sentinel in SENTINELS if sentinel not in known])
        return [self.tokenizer.convert_tokens_to_ids(sentinel) for sentinel in SENTINELS]

    def _add(self, pieces: Sequence[str]) -> None:
        added = [tokenizers.AddedToken(piece, special=True, normalized=False) for piece in pieces]
        self.tokenizer.add_tokens(added, special_tokens=True)

    def source(self, text: str) -> list[int]:
        """An input, with whatever the tokenizer puts around one."""
        # Special pieces that a user's text happens to spell out are text.
        ids: list[int] = self.tokenizer(text, split_special_tokens=True).input_ids
        return ids

    def text(self, text: str) -> list[int]:
        """A whole text as an output: framed as the model frames its outputs."""
        return [*self.before, *self._plain(text), self.end]

    def symbols(self, text: str) -> list[int]:
        """A linearisation, symbol by symbol, as an output: framed as the model frames its outputs."""
        return [*self.before, *(piece for symbol in text.split() for piece in self.symbol(symbol)), self.end]

    def symbol(self, symbol: str) -> tuple[int, ...]:
        """One symbol as it is after a space. Raises ModelError if the tokenizer joins pieces across spaces."""
        if symbol in self._whole:
            return (self._whole[symbol],)
        if symbol not in self._symbols:
            ids = self._plain(f"{_ANCHOR} {symbol}")
            if ids[: len(self._anchor)] != self._anchor or len(ids) == len(self._anchor):
                raise ModelError(
                    f"the model's tokenizer cannot write '{symbol}' by itself: it joins it to what is before."
                )
            self._symbols[symbol] = tuple(ids[len(self._anchor) :])
        return self._symbols[symbol]

    def lossy(self, symbol: str) -> bool:
        """Whether the tokenizer has no pieces to write `symbol` with."""
        return self.tokenizer.unk_token_id in self.symbol(symbol)

    def decode(self, ids: Sequence[int]) -> str:
        """The text that an output stands for: whole symbols by name, with a space on each side."""
        parts: list[str] = []
        run: list[int] = []
        for index in [*ids, self.end]:
            if index not in self._symbol_of and index != self.end:
                run.append(index)
                continue
            parts.append(self.tokenizer.decode(run, skip_special_tokens=True).strip())
            parts.append(self._symbol_of.get(index, ""))
            run = []
        return " ".join(part for part in parts if part)

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self.tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids
        return ids
