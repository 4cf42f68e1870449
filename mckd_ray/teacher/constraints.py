"""What a constrained answer may be: the keyword of vLLM's `StructuredOutputsParams` for each input.

A grammar (`grammars.py`) is exact: every answer parses strictly. A regular expression (`patterns.py`) says less: the
input's own words in order. Both are written for the backend `guidance`.
"""

from typing import Literal

from mckd_ray.errors import DataError
from mckd_ray.records import Example
from mckd_ray.tasks.base import Inventory, Linearisation
from mckd_ray.teacher.grammars import grammar
from mckd_ray.teacher.patterns import pattern

BACKEND: Literal["guidance"] = "guidance"
"""The `backend` of vLLM's `structured_outputs_config` that reads both."""
NO_FORCING = '%llguidance {"no_forcing": true}\n'
"""Where only one text can follow, as that of the next word, llguidance forces the pieces that the tokenizer has for it:
those that the model knows it by. But a tokenizer that begins each text with a space gives pieces that don't fit."""
LONGEST = 500
"""Words of the longest input: llguidance follows the rules of a grammar so deep that at 1,000 it kills its process."""


class Constraint:
    """What the answers of one teacher may be."""

    def __init__(
        self,
        kind: Literal["regex", "grammar"],
        linearisation: Linearisation,
        inventory: Inventory,
        forcing: bool = False,
    ) -> None:
        """`inventory`: the names that may be used; `forcing`: whether the tokenizer adds no space to a text.

        Raises ConfigError if the linearisation can't be constrained so.
        """
        self._kind, self._linearisation, self._inventory = kind, linearisation, inventory
        self._options = "" if forcing else NO_FORCING
        self.structured(Example("trial", ("word",)))

    def structured(self, example: Example) -> dict[str, str]:
        """The keyword for the answer to this input: `grammar` for both kinds, as that can say `NO_FORCING`.

        Raises DataError for an input that is too long.
        """
        if len(example.tokens) > LONGEST:
            raise DataError(f"the input has {len(example.tokens)} words; constrained answers are for {LONGEST} at most")
        if self._kind == "grammar":
            return {"grammar": self._options + grammar(self._linearisation, example, self._inventory)}
        expression = pattern(self._linearisation, example, self._inventory).replace("/", r"\/")
        return {"grammar": f"{self._options}start: /{expression}/"}
