"""Answers on disk: what a teacher has been asked, by the digest of all that determines the answer.

Every experiment in a store shares them, so nothing is asked, or paid for, twice. They come in small immutable files,
one for every few seconds of asking, so that a killed process loses no more than those seconds.
"""

import hashlib
import time
import uuid
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from mckd_ray.records import Answer, read_rows, write_rows
from mckd_ray.storage.root import Place

AT_RISK_S = 5.0
"""How long an answer may wait for others before they are written together."""
DETERMINES = (
    "engine", "model", "dtype", "quantization", "max_model_len", "samples", "temperature", "max_new_tokens", "seed"
)  # fmt: skip
"""The settings of a teacher that determine an answer beside what `prompt_key` holds."""


class AnswerBook:
    """The answers of one model with one way of sampling."""

    def __init__(self, place: Place) -> None:
        """A book at `place`, which need not exist yet."""
        self._place = place
        self._unwritten: list[Answer] = []
        self._since = time.monotonic()

    def held(self) -> AbstractContextManager[None]:
        """Be the only one, in this run or another, who asks for what is not in the book; others wait."""
        return self._place.lock()

    def find(self, keys: Collection[str]) -> dict[str, Answer]:
        """The answers that are known already, by key."""
        wanted = set(keys)
        self._place.keep()  # What an earlier attempt on this node could not hand over.
        return {
            answer.key: answer
            for file in sorted(self._place.here().glob("*.parquet"))
            for answer in read_rows(file, Answer)
            if answer.key in wanted
        }

    def add(self, answers: Sequence[Answer]) -> None:
        """Keep the texts that were written; failures are not answers. Call `flush` after the last ones."""
        self._unwritten += [answer for answer in answers if answer.answered]
        if time.monotonic() - self._since > AT_RISK_S:
            self.flush()

    def flush(self) -> None:
        """Write what has not been written."""
        if self._unwritten:
            file = self._place / f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"
            write_rows(file.path, Answer, self._unwritten)
            self._unwritten = []
            file.keep()
        self._since = time.monotonic()


def prompt_key(prompt: str, constraint: str) -> str:
    """The digest of a prompt with all of its shots, and of what constrains the answer."""
    return hashlib.sha256(f"{len(constraint)}:{constraint}{prompt}".encode()).hexdigest()[:32]


def sampling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """What, beside the prompt, determines the answers of a teacher with these settings."""
    return {name: settings[name] for name in DETERMINES}
