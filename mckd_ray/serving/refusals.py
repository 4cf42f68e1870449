"""Why a request was not answered: a status, and one sentence that names the field."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from mckd_ray.errors import MckdError


class RefusedError(MckdError):
    """A request that gets no answer: 4xx where the client can mend it, 503 or 504 where it can come again."""

    def __init__(self, status: int, message: str, field: str = "", headers: Mapping[str, str] | None = None) -> None:
        """`field`: the part of the request that is meant, such as `inputs[3].tokens[1]`."""
        super().__init__(message)
        self.status, self.message, self.field, self.headers = status, message, field, dict(headers or {})

    def as_data(self) -> dict[str, Any]:
        """The body of the response."""
        return {"error": {"field": self.field, "message": self.message}}


def invalid(details: Sequence[ErrorDetails]) -> RefusedError:
    """The refusal for what pydantic found wrong with a body. It never repeats the client's own text."""
    first = details[0]
    if first["type"] == "json_invalid":
        return RefusedError(400, f"the body is not JSON: {first['ctx']['error']}", "body")
    field = path_of(first["loc"])
    if first["type"] == "extra_forbidden":
        return RefusedError(422, "this field is not known; allowed: text, tokens, inputs, id", field)
    if first["type"] == "too_short":
        return RefusedError(422, "is empty: give one at least", field)
    more = f" (and {len(details) - 1} more mistakes)" if len(details) > 1 else ""
    message = first["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    return RefusedError(422, message + more, field or "body")


def path_of(location: Sequence[int | str]) -> str:
    """`inputs[3].tokens[1]` for ("inputs", 3, "tokens", 1)."""
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return path.removeprefix(".").encode("ascii", "backslashreplace").decode()[:200]
