r"""The `frame` linearisation of intent and slots: readable for people and LLMs, and exact.

    intent: PlayMusic; artist: westbam; album: allergic; service: google music

Slots stand in input order. Words are found left to right: each value at its first place after the slot before. Where
that is not what is meant, `slot[k]:` says that it is the k-th place at which these words stand in the whole input.
In words and names a backslash stands before each `;` and backslash, in slot names also before `[`.
"""

import re
from collections.abc import Iterable, Iterator, Sequence

from mckd_ray.errors import DataError, LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks.base import Inventory, LegalSymbols, Linearisation
from mckd_ray.tasks.slot_frame_symbols import FrameSymbols, escape_name, escape_word
from mckd_ray.tasks.slot_repair import find_span, unfence
from mckd_ray.tasks.slots import (
    NO_INTENT,
    Annotation,
    Chunk,
    check_annotation,
    read_annotation,
    read_chunks,
    write_chunks,
)

_FIELD = re.compile(r"(?:\\.|[^\\;])+")
_NAME = re.compile(r"((?:\\.|[^\\\[])+)(?:\[([1-9][0-9]{0,5})\])?", re.DOTALL)
_LOOSE_INTENT = re.compile(r"""\bintent["'*]*\s*[:=]\s*["'*]*([^\s"'*,;}]+)""", re.IGNORECASE)
_LOOSE_FIELD = re.compile(r"""([^\s"'*,{]{1,200}?)(?:\[([0-9]{1,6})\])?["'*]*\s*[:=]\s+(.*)""", re.DOTALL)

Words = tuple[str, ...]


class Frame(Linearisation):
    """`intent: INTENT; slot: words; slot[k]: words`."""

    name = "frame"

    def linearise(self, target: str, example: Example) -> str:
        """The frame of the canonical `target`."""
        annotation = read_annotation(target)
        fields = [f"intent: {escape_word(annotation.intent)}"]
        cursor = 0
        for chunk in read_chunks(annotation.tags):
            words = example.tokens[chunk.start : chunk.end]
            places = _places(words, example.tokens)
            expected = next(place for place in places if place >= cursor)
            mark = "" if expected == chunk.start else f"[{places.index(chunk.start) + 1}]"
            fields.append(f"{escape_name(chunk.slot)}{mark}: {' '.join(map(escape_word, words))}")
            cursor = chunk.end
        return "; ".join(fields)

    def parse(self, text: str, example: Example) -> str:
        """The canonical target, if `text` is exactly how its frame is written."""
        first, *fields = [field.removeprefix(" ") for field in _FIELD.findall(text)] or [""]
        name, _, intent = first.partition(": ")
        if name != "intent":
            raise LinearisationError("the frame does not begin with 'intent: '")
        chunks: list[Chunk] = []
        for field in fields:
            chunks.append(_read_field(field, chunks[-1].end if chunks else 0, example.tokens))
        annotation = Annotation(_unescape(intent), write_chunks(chunks, len(example.tokens)))
        try:
            check_annotation(annotation, example.tokens)
        except DataError as error:
            raise LinearisationError(str(error)) from error
        if self.linearise(str(annotation), example) != text:
            raise LinearisationError("the frame is not written as it should be: slots in input order, single spaces")
        return str(annotation)

    def repair(self, text: str, example: Example) -> str:
        """What `parse` says if it can, else all fields whose words can be found in the input, in any order."""
        text = unfence(text).strip()
        try:
            return self.parse(text, example)
        except LinearisationError:
            return str(_read_loosely(text, example.tokens))

    def inventory(self, rows: Iterable[tuple[str, Example]]) -> Inventory:
        """`intents` and `slots`."""
        annotations = [read_annotation(target) for target, _ in rows]
        slots = {chunk.slot for annotation in annotations for chunk in read_chunks(annotation.tags)}
        return {
            "intents": tuple(sorted({annotation.intent for annotation in annotations})),
            "slots": tuple(sorted(slots)),
        }

    def legal(self, example: Example, inventory: Inventory) -> LegalSymbols:
        """Exactly the frames of this input: its own words, in input order, marked where they must be."""
        return FrameSymbols(example.tokens, inventory)


def _places(words: Words, tokens: Words) -> list[int]:
    """Where `words` begin in `tokens`."""
    starts = [start for start, token in enumerate(tokens) if token == words[0]]
    return [start for start in starts if tokens[start : start + len(words)] == words]


def _read_field(field: str, cursor: int, tokens: Words) -> Chunk:
    name, _, value = field.partition(": ")
    match = _NAME.fullmatch(name)
    if not match or not value:
        raise LinearisationError(f"'{field}' is not written as 'slot: words'")
    words = tuple(_unescape(word) for word in value.split(" "))
    places = _places(words, tokens)
    wanted = places[int(match[2]) - 1 :] if match[2] else places
    start = next((place for place in wanted if place >= cursor), None)
    if start is None:
        raise LinearisationError(f"the words of '{field}' do not stand in the rest of the input")
    return Chunk(start, start + len(words), _unescape(match[1]))


def _read_loosely(text: str, tokens: Words) -> Annotation:
    found = _LOOSE_INTENT.search(text)
    taken = [False] * len(tokens)
    chunks: list[Chunk] = []
    for slot, mark, value in _loose_fields(text[found.end() :] if found else text):
        span = _find(value, mark, tokens, taken, chunks[-1].end if chunks else 0)
        if span:
            taken[span[0] : span[1]] = [True] * (span[1] - span[0])
            chunks.append(Chunk(*span, slot))
    return Annotation(_unescape(found[1]) if found else NO_INTENT, write_chunks(chunks, len(tokens)))


def _unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL) if "\\" in text else text


def _loose_fields(text: str) -> Iterator[tuple[str, int, str]]:
    """(slot, mark or 0, words) of everything that looks like a field, one a line, between semicolons, or as in JSON."""
    for part in re.split(r"""(?<!\\);|[\n{}]|(?<="),""", text):
        match = _LOOSE_FIELD.search(part)
        slot = _unescape(match[1]).strip("[](){}-") if match else ""
        if match and slot:
            yield slot, int(match[2] or 0), _unescape(match[3]).strip().strip("\"'`,*")


def _find(value: str, mark: int, tokens: Words, taken: Sequence[bool], cursor: int) -> tuple[int, int] | None:
    words = tuple(value.split())
    places = _places(words, tokens) if words else []
    if 1 <= mark <= len(places):
        marked = places[mark - 1], places[mark - 1] + len(words)
        if not any(taken[slice(*marked)]):
            return marked
    return find_span(value, tokens, taken, cursor) if words else None
