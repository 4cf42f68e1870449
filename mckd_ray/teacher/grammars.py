r"""The grammar of one input's linearisations, in the dialect of Lark that llguidance reads.

It derives what `Linearisation.legal` allows, so all of it parses strictly. A rule `name::_` has a number, in whose bits
counts are kept: `incr`, `decr` and `%if` change and ask them. Rules are expanded as an answer goes on, so a grammar has
a few short lines a word, and compiles in milliseconds; with one nonterminal for each state (word, depth, constituents)
it took llguidance up to seconds, and xgrammar longer.

A symbol is a terminal with the space before it. An answer may begin with a space, as models do after `Tree:`, and end
with a line break, as the shots in a prompt do.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import singledispatch
from typing import cast

from mckd_ray.errors import ConfigError
from mckd_ray.records import Example
from mckd_ray.tasks.base import Inventory, Linearisation
from mckd_ray.tasks.bracket_legal import SPARE
from mckd_ray.tasks.brackets import LabelledWordsLinearisation, WordsLinearisation
from mckd_ray.tasks.slot_frame_symbols import escape_name, escape_word
from mckd_ray.tasks.slot_frames import Frame
from mckd_ray.tasks.slot_sequences import BioSequence
from mckd_ray.tasks.slots import NO_INTENT, OUTSIDE
from mckd_ray.tasks.tree_sequences import InterleavedTags
from mckd_ray.tasks.tree_tags import LegalTags, TagsLinearisation
from mckd_ray.tasks.trees import UNLABELLED, penn_word

DEPTH, COUNT = "[0:20]", "[20:40]"
"""The bits that hold how many constituents are open, and how many have been opened."""
LONGEST_MARKED = 8
"""Words of the longest slot that can be marked in a frame."""


@singledispatch
def grammar(linearisation: Linearisation, example: Example, inventory: Inventory) -> str:
    """The grammar of the input's linearisations with the names of the inventory. Raises ConfigError for any text."""
    raise ConfigError(
        f"teacher.constrain=grammar: the linearisation '{linearisation.name}' has no grammar; use regex or none."
    )


@grammar.register
def _words(linearisation: WordsLinearisation, example: Example, inventory: Inventory) -> str:
    """An opening bracket is a word's if the word follows, else a constituent's, with the space before the next one."""
    words = [_quoted(f"{penn_word(token)} )") for token in example.tokens]
    if len(words) == 1:
        return _start(f'"( " {words[0]}')
    limit, last = len(words) + SPARE, len(words) - 1
    lines = [_start('"( (" opened_0::1')]
    for place, word in enumerate(words):
        # No constituent begins with the last word, or ends behind its first one.
        deeper = f' | "(" opened_{place}::incr({DEPTH}) %if lt({COUNT}, {limit})' if place < last else ""
        if place < last:
            lines.append(f"opened_{place}::_ : " + _changed(f'" " first_{place}::incr({COUNT})'))
            lines.append(f"first_{place}::_ : {word} between_{place + 1}::_{deeper}")
        if place:
            lines.append(f'between_{place}::_ : " ( " second_{place}::_')
            lines.append(f"second_{place}::_ : {word} after_{place + 1}::_{deeper}")
            lines.append(_after(place, f"between_{place}::_"))
    return "\n".join([*lines, _after(len(words), "")])


@grammar.register
def _labelled(linearisation: LabelledWordsLinearisation, example: Example, inventory: Inventory) -> str:
    words = [_quoted(f" {penn_word(token)} )") for token in example.tokens]
    limit, last = 2 * len(words) + SPARE, len(words) - 1
    alone = "" if last else f" | TAG {words[0]}"
    lines = [
        _start(f'"(" (LABEL opened_0::1{alone})'),
        f"LABEL: {_any_of(inventory.get('labels') or [UNLABELLED])}",
        f"TAG: {_any_of(inventory.get('tags') or [UNLABELLED])}",
    ]
    for place, word in enumerate(words):
        deeper = f"LABEL opened_{place}::incr({DEPTH}) %if lt({COUNT}, {limit})"
        lines.append(f"opened_{place}::_ : " + _changed(f'" (" name_{place}::incr({COUNT})'))
        lines.append(f"name_{place}::_ : TAG {word} after_{place + 1}::_ | {deeper}")
        lines.append(_after(place + 1, f'" (" name_{place + 1}::_' if place < last else ""))
    return "\n".join(lines)


@grammar.register
def _tree_tags(linearisation: TagsLinearisation, example: Example, inventory: Inventory) -> str:
    return _sides(linearisation, example, inventory, [""] * len(example.tokens))


@grammar.register
def _interleaved_tree_tags(linearisation: InterleavedTags, example: Example, inventory: Inventory) -> str:
    first, *others = example.tokens
    words = [
        f"{first} {others[0]}" if others else first,
        *(f" {token}" for token in others[1:]),
        *([""] if others else []),
    ]
    return _sides(linearisation.tags, example, inventory, words)


@grammar.register
def _bio(linearisation: BioSequence, example: Example, inventory: Inventory) -> str:
    """The number is the place of the next token."""
    size, tags = len(example.tokens), inventory["tags"]
    ongoing, end = f"%if lt(_, {size})", f'"" %if eq(_, {size})'
    word = "word::_ " if linearisation.words else ""
    slots = [tag[2:] for tag in tags if tag.startswith("B-")]
    outside = f"{_quoted(f' {OUTSIDE}')} outside::incr(_)"
    begins = [f"{_quoted(f' B-{slot}')} slot_{place}::incr(_)" for place, slot in enumerate(slots)]
    lines = [
        _start(f"{_any_of(inventory['intents'] or [NO_INTENT])} outside::0"),
        f"outside::_ : {word}tag::_ {ongoing} | {end}",
        "tag::_ : " + (" | ".join([outside, *begins]) if begins else _changed(outside)),
    ]
    for place, slot in enumerate(slots):
        longer = f"{_quoted(f' I-{slot}')} slot_{place}::incr(_) | " if f"I-{slot}" in tags else ""
        lines.append(f"slot_{place}::_ : {word}next_{place}::_ {ongoing} | {end}")
        lines.append(f"next_{place}::_ : {longer}tag::_")
    if linearisation.words:
        choices = (f"{_quoted(f' {token}')} %if eq(_, {place})" for place, token in enumerate(example.tokens))
        lines.append("word::_ : " + " | ".join(choices))
    return "\n".join(lines)


@grammar.register
def _frame(linearisation: Frame, example: Example, inventory: Inventory) -> str:
    """Words without a mark may be taken from any place: the first place at which they stand is then what is meant."""
    tokens = example.tokens
    intents = _any_of(map(escape_word, inventory["intents"] or [NO_INTENT]))
    if not inventory["slots"] or not tokens:
        return _start(f'"intent: " {intents}')
    words = [_quoted(f" {escape_word(token)}") for token in tokens]
    marked: dict[int, list[str]] = {}
    marks = {0: ":"}
    for before, start, end, mark in _marked(tokens):
        marked.setdefault(before, []).append(f"SLOT_{mark} {' '.join(words[start:end])} more_{end}")
        marks[mark] = f"[{mark}]:"
    lines = [_start(f'"intent: " {intents} more_0')]
    slots = _any_of(map(escape_name, inventory["slots"]))
    lines += [f'SLOT_{mark}: "; " {slots} {_quoted(written)}' for mark, written in marks.items()]
    furthest, last = max(marked, default=-1), len(words)
    for place, word in enumerate(words):
        jump = [f"marked_{place}"] if place <= furthest else []
        lines.append(_rule(f"more_{place}", '""', f"SLOT_0 value_{place}", *jump))
        lines.append(_rule(f"value_{place}", f"{word} rest_{place + 1}", *[f"value_{place + 1}"][: last - place - 1]))
        lines.append(_rule(f"rest_{place}", f"{word} rest_{place + 1}", f"more_{place}"))
        if jump:
            lines.append(_rule(f"marked_{place}", *marked.get(place, []), *[f"marked_{place + 1}"][: furthest - place]))
    return "\n".join([*lines, _rule(f"more_{last}", '""'), _rule(f"rest_{last}", '""')])


def _marked(tokens: Sequence[str]) -> Iterator[tuple[int, int, int, int]]:
    """All (before, start, end, mark): the words start:end need that mark where the slot before ended up to `before`."""
    for start in range(len(tokens)):
        for end in range(start + 1, min(start + LONGEST_MARKED, len(tokens)) + 1):
            words = tokens[start:end]
            places = [place for place in range(start) if tokens[place : place + len(words)] == words]
            if not places:
                break
            yield places[-1], start, end, len(places) + 1


def _sides(linearisation: TagsLinearisation, example: Example, inventory: Inventory, words: Sequence[str]) -> str:
    """Tags of a tree, each behind its word (which may be empty); the number is the depth of the stack (`tetra.py`)."""
    symbols = cast("LegalTags", linearisation.legal(example, inventory)).by_move
    lines = [_start("tag_0::0")]
    for place, word in enumerate(words):
        left = len(words) - place
        spaced = "" if place or word else "FIRST_"
        sides = {
            "lL": f"tag_{place + 1}::incr(_) %if lt(_, {left - 1})",
            "lR": f"tag_{place + 1}::_ %if and(ge(_, 1), lt(_, {left}))",
            "rL": f"tag_{place + 1}::_ %if and(ge(_, 1), lt(_, {left}))",
            "rR": f"tag_{place + 1}::decr(_) %if ge(_, 2)",
        }
        if left == 1:
            sides = {"l": "%if eq(_, 0)", "r": "%if eq(_, 1)"}
        before = f"{_quoted(word)} " if word else ""
        lines.append(
            f"tag_{place}::_ : " + " | ".join(f"{before}{spaced}{_TERMINAL[m]} {to}" for m, to in sides.items())
        )
    for move, name in _TERMINAL.items():
        names = _any_of(symbols[move])
        lines += [f'{name}: " " {names}', f"FIRST_{name}: {names}"]
    return "\n".join(lines)


_TERMINAL = {"lL": "OPENS", "lR": "LEFT", "rL": "RIGHT", "rR": "CLOSES", "l": "ONLY", "r": "LAST"}


def _after(place: int, more: str) -> str:
    """What may stand before word `place`, where a constituent can be closed; `more`: what else, if a word is left."""
    close = f'" )" after_{place}::decr({DEPTH}) %if gt({DEPTH}, 1)'
    return f"after_{place}::_ : {close} | " + (more or f'" )" %if eq({DEPTH}, 1)')


def _changed(alternative: str) -> str:
    """The only alternative of a rule, as two: llguidance 1.7 forgets to change the number if it's written as one."""
    return f"{alternative} %if lt({DEPTH}, 1) | {alternative} %if ge({DEPTH}, 1)"


def _rule(name: str, *alternatives: str) -> str:
    return f"{name}: {' | '.join(alternatives)}"


def _start(rule: str) -> str:
    return f'start: " "? {rule} "\\n"?'


def _any_of(names: Iterable[str]) -> str:
    return f"({' | '.join(map(_quoted, names))})"


def _quoted(text: str) -> str:
    return json.dumps(text)
