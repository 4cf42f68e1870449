"""Prompts as pieces of a model's vocabulary, with as many shots as fit its context."""

import bisect
from collections.abc import Sequence
from typing import Any

from mckd_ray.records import Answer, Example
from mckd_ray.tasks.prompts import Prompts
from mckd_ray.teacher.engine import Request


class FittedPrompts:
    """The prompts of one teacher for one model. A prompt drops shots, the least important first, until it fits."""

    def __init__(self, prompts: Prompts, tokenizer: Any, context: int, max_new_tokens: int) -> None:
        """For a model that reads and writes at most `context` pieces, of which `max_new_tokens` are for the answer."""
        self._prompts, self._tokenizer = prompts, tokenizer
        self._context, self._most = context, max_new_tokens

    @property
    def chat(self) -> bool:
        """Whether the model is asked in a chat, whose answers end by themselves; else it goes on with a text."""
        return self._tokenizer.chat_template is not None

    def fit(self, request: Request) -> tuple[list[int], int]:
        """The prompt with as many shots as fit, and their number; the one without shots, if even that does not."""
        pieces = self._pieces(request.example, request.shots)
        if self.fits(pieces):
            return pieces, len(request.shots)
        count = len(request.shots) - bisect.bisect_left(
            range(len(request.shots)),
            True,
            key=lambda drop: self.fits(self._pieces(request.example, request.shots[: len(request.shots) - drop])),
        )
        return self._pieces(request.example, request.shots[:count]), count

    def fits(self, pieces: Sequence[int]) -> bool:
        """Whether there is room for the answer behind this prompt."""
        return len(pieces) + self._most <= self._context

    def too_long(self, request: Request, pieces: Sequence[int]) -> Answer:
        """The answer to a request whose prompt does not fit even without shots."""
        reason = (
            f"the prompt has {len(pieces)} pieces without any shot; with max_new_tokens={self._most} that is more than"
            f" the model's context of {self._context}"
        )
        return Answer(request.key, failure=reason)

    def _pieces(self, example: Example, shots: Sequence[int]) -> list[int]:
        if not self.chat:
            ids: list[int] = self._tokenizer(self._prompts.text(example, shots)).input_ids
            return ids[:-1] if ids[-1:] == [self._tokenizer.eos_token_id] else ids
        chat = self._tokenizer.apply_chat_template(
            self._prompts.messages(example, shots), add_generation_prompt=True, tokenize=False
        )
        return list(self._tokenizer(chat, add_special_tokens=False).input_ids)
