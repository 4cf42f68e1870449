"""A probabilistic grammar of English-like sentences: reads grammar.txt, and draws trees with roles from it."""

import itertools
import random
import re
from bisect import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path

from mckd_ray.corpora.lexicon import DOMAINS, Words, lexicon

# Below this depth only the rules that end soonest are drawn.
_DEPTH = 14


@dataclass(slots=True)
class Node:
    """A constituent with `children`, or a word under its tag; `role` is what it is to the verb, if anything."""

    label: str
    children: list["Node"]
    word: str = ""
    role: str = ""

    def leaves(self) -> list["Node"]:
        """The words, left to right."""
        found: list[Node] = []
        stack = [self]
        while stack:
            node = stack.pop()
            if node.word:
                found.append(node)
            else:
                stack.extend(reversed(node.children))
        return found


@dataclass(frozen=True, slots=True)
class Item:
    """An item of a rule's right side: a symbol, or a word as it is (`symbol` is then its tag)."""

    symbol: str
    word: str
    role: str


Side = tuple[Item, ...]
Options = Mapping[str, list[tuple[float, Side]]]


class Grammar:
    """The grammar of one domain, ready to draw from."""

    def __init__(self, rules: Options, words: Mapping[str, Words]) -> None:
        """Takes each symbol's right sides with their weights, and the words of each lexical category."""
        heights = _heights(rules, words)
        self._words = words
        self._all = {symbol: _choice(options) for symbol, options in rules.items()}
        self._shortest = {
            symbol: _choice([option for option in options if _height(option[1], heights) < heights[symbol]])
            for symbol, options in rules.items()
        }
        self._labels = {symbol: symbol.partition(".")[0] for symbol in [*rules, *words]}

    def draw(self, start: str, rng: random.Random, longest: int) -> Node | None:
        """A tree from the symbol `start`, by the numbers of `rng` alone; None if it would have over `longest` words."""
        root = Node("", [])
        length = self._expand(Item(start, "", ""), root.children, rng, 0, longest)
        return root.children[0] if length <= longest else None

    def _expand(self, item: Item, into: list[Node], rng: random.Random, depth: int, room: int) -> int:
        """Append what `item` becomes to `into`, and return its number of words; stops early once it is over `room`."""
        symbol = item.symbol
        if item.word:
            into.append(Node(symbol, [], item.word))
            return 1
        label = self._labels[symbol]
        if words := self._words.get(symbol):
            cumulative = words.cumulative
            word = words.words[bisect(cumulative, rng.random() * cumulative[-1])]
            into.append(Node(label, [], word, item.role))
            return 1
        if label[0] != "_":
            node = Node(label, [], "", item.role)
            into.append(node)
            into = node.children
        sides, cumulative = (self._all if depth < _DEPTH else self._shortest)[symbol]
        length = 0
        for part in sides[bisect(cumulative, rng.random() * cumulative[-1])]:
            length += self._expand(part, into, rng, depth + 1, room - length)
            if length > room:
                break
        return length


@cache
def grammar(domain: str) -> Grammar:
    """The grammar of a domain (general or target)."""
    rules: dict[str, list[tuple[float, Side]]] = {}
    for symbol, weights, side in _rules():
        if weight := weights[DOMAINS.index(domain)]:
            rules.setdefault(symbol, []).append((weight, side))
    return Grammar(rules, lexicon(domain))


@cache
def _rules() -> tuple[tuple[str, tuple[float, ...], Side], ...]:
    """Symbol, weight in each domain, and right side of each line of grammar.txt, with its braces filled in."""
    values: dict[str, list[str]] = {}
    found = []
    for line in Path(__file__).with_name("grammar.txt").read_text("utf-8").splitlines():
        if line.startswith("let "):
            name, _, cells = line.removeprefix("let ").partition("=")
            values[name.strip()] = cells.split()
        elif line.strip() and not line.startswith("#"):
            found += [_rule(filled) for filled in _filled(line, values)]
    return tuple(found)


def _filled(line: str, values: Mapping[str, list[str]]) -> Iterator[str]:
    """The line with each name in braces replaced, once for each combination of their values."""
    names = sorted(set(re.findall(r"{(\w+)}", line)))
    for chosen in itertools.product(*(values[name] for name in names)):
        yield line.format(**dict(zip(names, chosen, strict=True)))


def _rule(line: str) -> tuple[str, tuple[float, ...], Side]:
    left, _, right = line.partition("->")
    symbol, *weights = left.split()
    return symbol, tuple(float(weight) for weight in weights), tuple(_item(text) for text in right.split())


def _item(text: str) -> Item:
    symbol, _, role = text.partition("=")
    tag, slash, word = symbol.partition("/")
    return Item(tag, word, role) if slash else Item(symbol, "", role)


def _choice(options: list[tuple[float, Side]]) -> tuple[tuple[Side, ...], tuple[float, ...]]:
    return tuple(side for _, side in options), tuple(accumulate(weight for weight, _ in options))


def _heights(rules: Options, words: Mapping[str, Words]) -> dict[str, float]:
    """The least height of what each symbol can become (a word: 0), by relaxation until nothing changes."""
    heights = dict.fromkeys(words, 0.0) | dict.fromkeys(rules, float("inf"))
    changed = True
    while changed:
        changed = False
        for symbol, options in rules.items():
            best = 1 + min(_height(side, heights) for _, side in options)
            if best < heights[symbol]:
                heights[symbol], changed = best, True
    return heights


def _height(side: Side, heights: Mapping[str, float]) -> float:
    return max(0.0 if item.word else heights[item.symbol] for item in side)
