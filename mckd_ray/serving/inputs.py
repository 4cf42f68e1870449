"""From a request's body to examples, checked; and the places of their tokens in the client's text."""

import unicodedata
from dataclasses import dataclass

from pydantic import ValidationError

from mckd_ray.records import Example
from mckd_ray.serving.refusals import RefusedError, invalid
from mckd_ray.serving.schema import Input, ParseRequest
from mckd_ray.serving.settings import Limits
from mckd_ray.serving.tokenise import Span, tokenise

_BLANKS = "\t\n\r"


@dataclass(frozen=True, slots=True)
class Asked:
    """One input: the example for the model, and where its tokens stand in the text, if it came as text."""

    example: Example
    spans: tuple[Span, ...] | None
    id: str | None


@dataclass(frozen=True, slots=True)
class Request:
    """The inputs of a request; `single` where the request is one input itself."""

    inputs: tuple[Asked, ...]
    single: bool


class InputReader:
    """Reads requests for models of one task, within limits. What is wrong with one raises RefusedError."""

    def __init__(self, task: str, limits: Limits) -> None:
        """`task`: a name in `mckd_ray.tasks.TASKS`."""
        self._task, self._limits = task, limits

    def request(self, body: bytes) -> Request:
        """The request that the body of `/v1/parse` makes."""
        try:
            parsed = ParseRequest.model_validate_json(body)
        except ValidationError as error:
            raise invalid(error.errors(include_url=False, include_input=False)) from None
        if parsed.inputs is None:
            return Request((self._asked(parsed, "", "0"),), single=True)
        if len(parsed.inputs) > self._limits.inputs:
            count = len(parsed.inputs)
            raise RefusedError(413, f"{count} inputs are more than {self._limits.inputs}; use /v1/parse/bulk", "inputs")
        inputs = [self._asked(one, f"inputs[{place}].", str(place)) for place, one in enumerate(parsed.inputs)]
        return Request(tuple(inputs), single=False)

    def line(self, line: bytes, number: int) -> Asked:
        """The input that line `number` (from 1) of a bulk body makes."""
        try:
            parsed = Input.model_validate_json(line)
        except ValidationError as error:
            refusal = invalid(error.errors(include_url=False, include_input=False))
            raise RefusedError(refusal.status, refusal.message, f"line {number}: {refusal.field}") from None
        return self._asked(parsed, f"line {number}: ", str(number))

    def _asked(self, given: Input, where: str, name: str) -> Asked:
        if given.text is not None:
            return self._from_text(given.text, f"{where}text", name, given.id)
        tokens = tuple(given.tokens or ())
        self._check_tokens(tokens, f"{where}tokens")
        return Asked(Example(name, tokens=tokens), None, given.id)

    def _from_text(self, text: str, field: str, name: str, given_id: str | None) -> Asked:
        if len(text) > self._limits.characters:
            raise RefusedError(422, f"{len(text)} characters are more than {self._limits.characters}", field)
        if not text.strip():
            raise RefusedError(422, "is empty, or white space alone", field)
        _check_characters(text, field, allowed=_BLANKS)
        if self._task == "text":
            return Asked(Example(name, text=text.strip()), None, given_id)
        tokens = tokenise(text, self._task)
        self._check_tokens(tokens.words, field)
        return Asked(Example(name, tokens=tokens.words), tokens.spans, given_id)

    def _check_tokens(self, tokens: tuple[str, ...], field: str) -> None:
        if self._task == "text":
            raise RefusedError(422, "this model takes text; give `text`", field)
        if not tokens:
            raise RefusedError(422, "is empty: give one token at least", field)
        if len(tokens) > self._limits.tokens:
            raise RefusedError(422, f"{len(tokens)} tokens are more than {self._limits.tokens}", field)
        longest = self._limits.token_characters
        for place, token in enumerate(tokens):
            here = f"{field}[{place}]" if field.endswith("tokens") else field
            if len(token) > longest:
                raise RefusedError(422, f"a token of {len(token)} characters is longer than {longest}", here)
            if token.split() != [token]:
                raise RefusedError(422, "a token is not empty, and holds no white space", here)
            _check_characters(token, here)


def _check_characters(text: str, field: str, allowed: str = "") -> None:
    for character in text:
        if character < " " or "\x7f" <= character <= "\x9f":
            if character in allowed:
                continue
            name = f"U+{ord(character):04X}"
            raise RefusedError(422, f"holds the control character {name}; leave it out", field)
        if unicodedata.category(character) == "Cs":
            raise RefusedError(422, "holds a lone surrogate, which is no character", field)
