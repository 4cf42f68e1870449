"""How a tagger's encoder reads tokens: as words with features (ours), or as pieces of words (stock encoders)."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import tokenizers
import transformers
from tokenizers import models, normalizers, pre_tokenizers, processors, trainers

from mckd_ray.errors import ModelError
from mckd_ray.student import features
from mckd_ray.student.features import SPECIAL, WordFeatures

Ids = npt.NDArray[np.int64]
PIECES_LIMIT = 512
_SPECIAL = {
    "pad_token": "[PAD]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


class Reader(ABC):
    """Turns tokens into what the encoder takes."""

    pad: int
    unmaskable: frozenset[int]
    """Ids that are never masked: they stand for no word."""

    @abstractmethod
    def read(self, tokens: Sequence[str]) -> tuple[Ids, Ids]:
        """The ids, (P,) or (P, features), and where in them each of the T tokens begins, (T,)."""

    @abstractmethod
    def mask(self) -> int:
        """The id that stands for a masked word or piece. Raises ModelError if there is none."""

    @abstractmethod
    def sizes(self) -> dict[str, int]:
        """What the config of an encoder from scratch must say for this reader's ids."""

    @abstractmethod
    def limit(self, tokens: Sequence[str]) -> str:
        """Why the tokens are too many for the encoder; empty if they aren't."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what the reader has learned into `folder`."""


class WordReader(Reader):
    """For our encoder: each token is one row of ids."""

    pad = features.PAD
    unmaskable = frozenset((features.PAD, features.UNKNOWN))

    def __init__(self, words: WordFeatures) -> None:
        self.words = words

    def read(self, tokens: Sequence[str]) -> tuple[Ids, Ids]:
        """Ids of the words and their features, (T, 1 + FEATURES), and 0 to T-1."""
        return self.words.encode(tokens), np.arange(len(tokens))

    def mask(self) -> int:
        """One id for all words; features are masked by it too."""
        return features.MASK

    def sizes(self) -> dict[str, int]:
        """The sizes of both vocabularies."""
        return {"words": SPECIAL + len(self.words.words), "affixes": SPECIAL + len(self.words.affixes)}

    def limit(self, tokens: Sequence[str]) -> str:
        """Never too many: positions are relative."""
        return ""

    def save(self, folder: Path) -> None:
        """Write the vocabularies into `folder`."""
        self.words.save(folder)


class PieceReader(Reader):
    """For stock encoders: a fast tokenizer, and the first piece of a token stands for it."""

    def __init__(self, tokenizer: transformers.PreTrainedTokenizerFast, longest: int) -> None:
        self.tokenizer = tokenizer
        self.longest = longest
        self.pad = int(tokenizer.pad_token_id)
        self.unmaskable = frozenset(tokenizer.all_special_ids)

    def read(self, tokens: Sequence[str]) -> tuple[Ids, Ids]:
        """Ids of the pieces, (P,), and the first piece of each token; place 0 for a token without any piece."""
        encoded = self.tokenizer(list(tokens), is_split_into_words=True, return_attention_mask=False, verbose=False)
        first = np.zeros(len(tokens), np.int64)
        places = encoded.word_ids()
        for place in range(len(places) - 1, -1, -1):
            if places[place] is not None:
                first[places[place]] = place
        return np.array(encoded["input_ids"], np.int64), first

    def mask(self) -> int:
        """The tokenizer's own. Raises ModelError if it has none."""
        if self.tokenizer.mask_token_id is None:
            raise ModelError("the model's tokenizer has no piece that masks others, so it can't learn from raw text.")
        return int(self.tokenizer.mask_token_id)

    def sizes(self) -> dict[str, int]:
        """The number of pieces and of positions; some encoders count positions from the padding's id."""
        positions = self.longest + self.pad + 1
        return {
            "vocab_size": len(self.tokenizer),
            "pad_token_id": self.pad,
            "max_position_embeddings": positions,
        }

    def limit(self, tokens: Sequence[str]) -> str:
        """More pieces than the encoder has positions."""
        pieces = len(self.read(tokens)[0])
        return f"{pieces} pieces are more than the {self.longest} that the model takes" if pieces > self.longest else ""

    def save(self, folder: Path) -> None:
        """Write the tokenizer into `folder`."""
        self.tokenizer.save_pretrained(folder)


def learn_pieces(texts: Iterable[Sequence[str]], size: int) -> transformers.PreTrainedTokenizerFast:
    """A lower-casing byte-level tokenizer with about `size` pieces (at least all bytes), from tokenised `texts`.

    The trainer of word pieces numbers its letters anew in each process; with bytes, the same texts give the same ids.
    """
    pieces = tokenizers.Tokenizer(models.BPE())
    pieces.normalizer = normalizers.Lowercase()
    pieces.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(_SPECIAL.values()),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    pieces.train_from_iterator((" ".join(tokens) for tokens in texts), trainer)
    ends = [(name, pieces.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    pieces.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return transformers.PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=pieces, model_max_length=PIECES_LIMIT, **_SPECIAL
    )
