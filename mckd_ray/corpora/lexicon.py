"""The words of the built-in corpus by category and domain: function words, inflected verbs, and composed nouns.

Content words are made of a stem and a suffix that tells their class. A domain's words are the shared ones and its own,
which replace those of the other domain.
"""

import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import accumulate
from pathlib import Path

DOMAINS = ("general", "target")
NOUNS = ("person", "thing", "tool", "part", "place", "stuff", "event", "topic")

# How many words of a class are shared by the domains, and how many are each one's own: own words are about 60%.
_SHARED, _OWN = 24, 36
_ORDER_SEED = 17


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one category and their cumulative weights."""

    words: tuple[str, ...]
    cumulative: tuple[float, ...]


@dataclass
class _Lists:
    """What lexicon.txt holds: word lists by their names."""

    weighted: dict[str, list[str]] = field(default_factory=dict)
    verbs: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    stems: dict[str, list[str]] = field(default_factory=dict)
    suffixes: dict[tuple[str, str], list[str]] = field(default_factory=dict)


@cache
def lexicon(domain: str) -> Mapping[str, Words]:
    """The words of each lexical category, such as `NNS.person` or `VBD.move`, in a domain (general or target)."""
    lists = _read()
    words = {category: _weighted(cells) for category, cells in lists.weighted.items()}
    for frame in dict.fromkeys(name for name, _ in lists.verbs):
        verbs = _ranked(lists.verbs[frame, "shared"], lists.verbs[frame, domain], domain + frame)
        for tag, inflect in _VERB_FORMS.items():
            words[f"{tag}.{frame}"] = _zipf([inflect(verb) for verb in verbs])
    composed = {kind: _composed(lists, kind, domain) for kind in dict.fromkeys(name for name, _ in lists.suffixes)}
    for noun in NOUNS:
        words[f"NN.{noun}"] = _zipf(composed[noun])
        words[f"NNS.{noun}"] = _zipf([_plural(word) for word in composed[noun]])
    words["JJ.any"] = _zipf(composed["adjective"])
    words["RB.manner"] = _zipf(composed["manner"])
    words["NNP.place"] = _zipf([word.capitalize() for word in composed["town"]])
    words["NNP.last"] = _zipf([word.capitalize() for word in composed["surname"]])
    words["NNP.first"] = _zipf([word.capitalize() for word in composed["forename"]])
    words["NN.code"] = _zipf(
        [f"{stem[:3].capitalize()}{number}" for number in range(1, 7) for stem in lists.stems[domain]]
    )
    return words


def _read() -> _Lists:
    lists = _Lists()
    for name, cells in _lines(Path(__file__).with_name("lexicon.txt")):
        match name:
            case ["word", category]:
                lists.weighted[category] = cells
            case ["verb", frame, owner]:
                lists.verbs[frame, owner] = cells
            case ["stem", owner]:
                lists.stems[owner] = cells
            case ["suffix", kind, owner]:
                lists.suffixes[kind, owner] = cells
            case _:
                raise ValueError(f"lexicon.txt: unknown list {name}")
    return lists


def _lines(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    for line in path.read_text("utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, cells = line.partition(":")
            yield name.split(), cells.split()


def _composed(lists: _Lists, kind: str, domain: str) -> list[str]:
    """The shared words of a class, and the domain's own, of its own stems and suffixes."""
    common, own = lists.suffixes[kind, "shared"], lists.suffixes[kind, domain]
    shared_words = _sample([_join(s, x) for s in lists.stems["shared"] for x in common], _SHARED, kind)
    own_words = _sample([_join(s, x) for s in lists.stems[domain] for x in own], _OWN, kind + domain)
    return _ranked(shared_words, own_words, domain + kind)


def _sample(words: list[str], count: int, salt: str) -> list[str]:
    distinct = list(dict.fromkeys(words))
    return random.Random(f"{_ORDER_SEED}{salt}").sample(distinct, min(count, len(distinct)))


def _ranked(shared: list[str], own: list[str], salt: str) -> list[str]:
    """Both lists in one order of falling frequency, mixed."""
    return _sample(shared + own, len(shared) + len(own), salt)


def _zipf(words: list[str]) -> Words:
    return Words(tuple(words), tuple(accumulate(1 / (rank + 8) for rank in range(len(words)))))


def _weighted(cells: list[str]) -> Words:
    return Words(tuple(cells[0::2]), tuple(accumulate(float(weight) for weight in cells[1::2])))


def _join(stem: str, suffix: str) -> str:
    return stem[:-1] + suffix if stem.endswith("e") and suffix[0] in "aeiouy" else stem + suffix


def _plural(noun: str) -> str:
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    if noun.endswith("sis"):
        return noun[:-2] + "es"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def _past(verb: str) -> str:
    if verb.endswith("e"):
        return verb + "d"
    return verb[:-1] + "ied" if verb.endswith("y") and verb[-2] not in "aeiou" else verb + "ed"


def _gerund(verb: str) -> str:
    return (verb[:-1] if verb.endswith("e") else verb) + "ing"


_VERB_FORMS: Mapping[str, Callable[[str], str]] = {"VB": str, "VBD": _past, "VBN": _past, "VBG": _gerund}
