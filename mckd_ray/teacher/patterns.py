"""The regular expression of one input's answers: the input's own words in order, and repair does the rest.

Each word stands once (in a frame at most once), with brackets, names or tags between, but nothing sees to it that
brackets match, that tags continue others, or that the words of a slot stand together. As in `grammars.py`, an answer
may begin with a space and end with a line break.
"""

import re
from collections.abc import Iterable
from functools import singledispatch

from mckd_ray.errors import ConfigError
from mckd_ray.records import Example
from mckd_ray.tasks.base import Inventory, Linearisation
from mckd_ray.tasks.brackets import LabelledWordsLinearisation, WordsLinearisation
from mckd_ray.tasks.slot_frame_symbols import escape_name, escape_word
from mckd_ray.tasks.slot_frames import Frame
from mckd_ray.tasks.slot_sequences import BioSequence
from mckd_ray.tasks.slots import NO_INTENT
from mckd_ray.tasks.text import Plain
from mckd_ray.tasks.tree_sequences import InterleavedTags
from mckd_ray.tasks.tree_tags import TagsLinearisation
from mckd_ray.tasks.trees import UNLABELLED, penn_word

OPENED, CLOSED = 8, 32
"""Most constituents that begin or end between two words: in the trees of CRAFT and PTB 7 and 27."""

_UNLABELLED = (f"l|L|{UNLABELLED}", f"r|R|{UNLABELLED}", f"l|-|{UNLABELLED}")


@singledispatch
def pattern(linearisation: Linearisation, example: Example, inventory: Inventory) -> str:
    """What the input's answers match, with the names of the inventory. Raises ConfigError where there is none."""
    raise ConfigError(f"teacher.constrain=regex: there is none for the linearisation '{linearisation.name}'; use none.")


@pattern.register
def _plain(linearisation: Plain, example: Example, inventory: Inventory) -> str:
    """One line that is not empty."""
    return r"[^\n]*\S[^\n]*\n?"


@pattern.register
def _words(linearisation: WordsLinearisation, example: Example, inventory: Inventory) -> str:
    return _brackets(example, r"\(", r"\(")


@pattern.register
def _labelled(linearisation: LabelledWordsLinearisation, example: Example, inventory: Inventory) -> str:
    labels = _any_of(inventory.get("labels") or [UNLABELLED])
    return _brackets(example, rf"\({labels}", rf"\({_any_of(inventory.get('tags') or [UNLABELLED])}")


@pattern.register
def _tree_tags(linearisation: TagsLinearisation, example: Example, inventory: Inventory) -> str:
    tag = _tree_tag(inventory)
    return _line(f"{tag}(?: {tag}){{{len(example.tokens) - 1}}}")


@pattern.register
def _interleaved_tree_tags(linearisation: InterleavedTags, example: Example, inventory: Inventory) -> str:
    tag = _tree_tag(inventory)
    first, *others = (_escaped(token) for token in example.tokens)
    return _line(" ".join([first, *(f"{token} {tag}" for token in others), tag]))


@pattern.register
def _bio(linearisation: BioSequence, example: Example, inventory: Inventory) -> str:
    intent, tag = _any_of(inventory["intents"] or [NO_INTENT]), _any_of(inventory["tags"])
    if not linearisation.words:
        return _line(f"{intent}(?: {tag}){{{len(example.tokens)}}}")
    return _line(intent + "".join(f" {_escaped(token)} {tag}" for token in example.tokens))


@pattern.register
def _frame(linearisation: Frame, example: Example, inventory: Inventory) -> str:
    """Each word of the input may be left out, and may begin a slot."""
    intent = "intent: " + _any_of(map(escape_word, inventory["intents"] or [NO_INTENT]))
    if not inventory["slots"]:
        return _line(intent)
    slot = rf"(?:; {_any_of(map(escape_name, inventory['slots']))}(?:\[[1-9]\])?:)?"
    return _line(intent + "".join(f"(?:{slot} {_escaped(escape_word(token))})?" for token in example.tokens))


def _brackets(example: Example, opening: str, leaf: str) -> str:
    words = [rf"{leaf} {_escaped(penn_word(token))} \)" for token in example.tokens]
    between = rf"(?: \)){{0,{CLOSED}}}(?: {opening}){{0,{OPENED}}} "
    return _line(rf"(?:{opening} ){{0,{OPENED}}}{between.join(words)}(?: \)){{0,{CLOSED}}}")


def _tree_tag(inventory: Inventory) -> str:
    """Any values of a tag's three parts: far fewer than there are tags, which stand here once for each word."""
    parts = zip(*(tag.split("|") for tag in (*inventory["tag"], *_UNLABELLED)), strict=True)
    return r"\|".join(_any_of(sorted(set(values))) for values in parts)


def _line(expression: str) -> str:
    return rf" ?{expression}\n?"


def _any_of(names: Iterable[str]) -> str:
    return f"(?:{'|'.join(map(_escaped, names))})"


def _escaped(text: str) -> str:
    return re.sub(r"[\\.+*?()|\[\]{}^$]", r"\\\g<0>", text)
