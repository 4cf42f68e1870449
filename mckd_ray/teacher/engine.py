"""What an engine is: prompts in, completions out, many in flight at once.

An engine lives in an actor that calls `work` again and again: each call brings new requests, spends a slice of time on
all that are in flight, and takes away what has been answered.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from mckd_ray.records import Answer, Example


@dataclass(frozen=True, slots=True)
class Request:
    """An input to be asked about, with the labelled examples to show it with."""

    key: str
    """The digest of all that determines the answer."""
    example: Example
    shots: tuple[int, ...]
    """Which labelled examples, by their place in the engine's `Prompts`, the most important one first."""


class Engine(ABC):
    """A language model, loaded and ready."""

    name: str
    """The engine with its version, such as `vllm 0.32.0`, for the record."""
    in_flight: int
    """How many requests it makes good use of at once."""

    @abstractmethod
    def work(self, requests: Sequence[Request], seconds: float) -> list[Answer]:
        """Take `requests` in, and return the answers that are ready once about `seconds` have passed.

        Earlier, if nothing is left in flight. Each request is answered once, in any order; no request raises.
        """
