"""What the word-level encoder sees of a word: its id, and the ids of its prefixes, suffixes and shape."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mckd_ray.errors import ModelError

PAD, UNKNOWN, MASK = range(3)
SPECIAL = 3
RARE = 2
"""Words and affixes that raw text has less often share one id, so that the model learns what to do with the unseen."""
FEATURES = 8
"""Prefixes of 1 to 3 letters, suffixes of 1 to 4, and the shape."""
FILE = "words.json"
_DIGIT = re.compile(r"\d")


@dataclass(frozen=True)
class WordFeatures:
    """The ids of words (lower-cased, digits as 0) and of their features; 0 is padding, 1 unknown, 2 masked."""

    words: Mapping[str, int]
    affixes: Mapping[str, int]
    _known: dict[str, tuple[int, ...]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def learn(cls, texts: Iterable[Sequence[str]], size: int) -> "WordFeatures":
        """At most `size` words, and twice as many features, by how often the tokenised `texts` have them."""
        counts = Counter(chain.from_iterable(texts))
        words: Counter[str] = Counter()
        affixes: Counter[str] = Counter()
        for token, count in counts.items():
            words[_normal(token)] += count
            for feature in _features(token):
                affixes[feature] += count
        return cls(_frequent(words, size), _frequent(affixes, 2 * size))

    def encode(self, tokens: Sequence[str]) -> npt.NDArray[np.int64]:
        """The ids of each token, (T, 1 + FEATURES), the word's first."""
        rows = []
        for token in tokens:
            row = self._known.get(token)
            if row is None:
                found = [self.affixes.get(feature, UNKNOWN) for feature in _features(token)]
                row = self._known[token] = (self.words.get(_normal(token), UNKNOWN), *found)
            rows.append(row)
        return np.array(rows, np.int64)

    def save(self, folder: Path) -> None:
        """Write the vocabularies into `folder`."""
        content = {"words": list(self.words), "affixes": list(self.affixes)}
        (folder / FILE).write_text(json.dumps(content, ensure_ascii=False, indent=0), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "WordFeatures":
        """The vocabularies in `folder`. Raises ModelError if they are not there."""
        try:
            content: dict[str, Any] = json.loads((folder / FILE).read_text(encoding="utf-8"))
            return cls(_numbered(content["words"]), _numbered(content["affixes"]))
        except (OSError, ValueError, KeyError) as error:
            raise ModelError(f"{folder / FILE}: the student's vocabulary can't be read ({error}).") from error


def _frequent(counts: Counter[str], size: int) -> dict[str, int]:
    kept = sorted((item for item in counts.items() if item[1] >= RARE), key=lambda item: (-item[1], item[0]))
    return _numbered([name for name, _ in kept[:size]])


def _numbered(names: Sequence[str]) -> dict[str, int]:
    return {name: index for index, name in enumerate(names, SPECIAL)}


def _normal(token: str) -> str:
    return _DIGIT.sub("0", token.lower())


def _features(token: str) -> list[str]:
    word = _normal(token)
    prefixes = [f"{word[:length]}-" for length in range(1, 4)]
    suffixes = [f"-{word[-length:]}" for length in range(1, 5)]
    return [*prefixes, *suffixes, f"shape {_shape(token)}"]


def _shape(token: str) -> str:
    """The classes of the letters (X, x, 0, or the sign itself), runs shortened to one: `Xx0-x` for `Abc12-d`."""
    classes = ("X" if c.isupper() else "x" if c.islower() else "0" if c.isdigit() else c for c in token)
    return "".join(letter for letter, _ in groupby(classes))
