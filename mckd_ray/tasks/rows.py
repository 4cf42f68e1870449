"""The fields that rows of any corpus have in common, checked."""

from collections.abc import Mapping
from typing import Any

from mckd_ray.errors import DataError


def read_id(row: Mapping[str, Any]) -> str:
    """The row's `id`. Raises DataError if there is none."""
    value = row.get("id")
    if not isinstance(value, str) or not value:
        raise DataError(f"'id' is {value!r}: each row needs an id, a string that is not empty")
    return value


def read_words(row: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """The row's list of words `field`. Raises DataError unless it holds words without white space, one at least."""
    value = row.get(field)
    if not isinstance(value, list | tuple) or not value:
        raise DataError(f"'{field}' is {value!r}: a list of strings is needed, with one at least")
    for place, word in enumerate(value, start=1):
        if not isinstance(word, str) or word.split() != [word]:
            raise DataError(f"'{field}' {place} is {word!r}: each must be a string without white space, and not empty")
    return tuple(value)


def read_text(row: Mapping[str, Any], field: str) -> str:
    """The row's string `field`. Raises DataError if there is none."""
    value = row.get(field)
    if not isinstance(value, str):
        raise DataError(f"'{field}' is {value!r}: a string is needed")
    return value
