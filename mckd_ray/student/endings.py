"""How near the end of an output is: the search that lets one end within its limit."""

import heapq
import math
from collections.abc import Callable, Hashable, Iterable

from mckd_ray.tasks.base import LegalSymbols

_FIRST_EFFORT, _EFFORT = 200_000, 3_000
"""How many transitions the first search tries, and each later one: by then one way to the end is known."""
_LEAP = 16
"""How many pieces nearer to the end a word of the input is taken to bring it."""


class Endings:
    """In how many pieces an output can be completed from a state: upper bounds, each with a way that keeps to it."""

    def __init__(self, legal: LegalSymbols, cost: Callable[[str], int], words: Iterable[str] = ()) -> None:
        """`cost`: how many pieces a symbol takes. `words`: the symbols that are words of the input, if it is repeated.

        Ways that write more of the words are tried first, which is much faster where words are repeated. Without words
        the bounds are exact.
        """
        self._legal, self._cost, self._words = legal, cost, frozenset(words)
        self._known: dict[Hashable, float] = {}
        self._effort = _FIRST_EFFORT

    def after(self, state: Hashable, symbol: str, most: int) -> float:
        """Pieces for `symbol` and from there to the end; infinite if no way of at most `most` pieces is found."""
        cost = self._cost(symbol)
        return cost + self.distance(self._legal.advance(state, symbol), most - cost)

    def distance(self, state: Hashable, most: int) -> float:
        """Pieces to the end; infinite if no way of at most `most` pieces is found."""
        if state not in self._known:
            self._search(state, most)
        known = self._known[state]
        return known if known <= most else math.inf

    def _search(self, start: Hashable, most: int) -> None:
        """Best-first search (Dijkstra's where no words are known); keeps what it learns of the states on its way."""
        best: dict[Hashable, int] = {start: 0}
        before: dict[Hashable, Hashable] = {}
        queue: list[tuple[int, int, int, Hashable]] = [(0, 0, 0, start)]
        transitions, effort, self._effort = 0, self._effort, _EFFORT
        while queue and transitions < effort:
            rank, _, cost, state = heapq.heappop(queue)
            if cost > best[state]:
                continue
            if self._legal.complete(state):
                self._keep(state, cost, best, before)
                return
            for symbol in self._legal.allowed(state):
                transitions += 1
                following, pieces = self._legal.advance(state, symbol), self._cost(symbol)
                if cost + pieces <= most and cost + pieces < best.get(following, most + 1):
                    best[following], before[following] = cost + pieces, state
                    leap = _LEAP if symbol in self._words else 0
                    heapq.heappush(queue, (rank + pieces - leap, transitions, cost + pieces, following))
        self._known[start] = math.inf

    def _keep(self, end: Hashable, cost: int, best: dict[Hashable, int], before: dict[Hashable, Hashable]) -> None:
        state = end
        self._known[state] = 0
        while state in before:
            state = before[state]
            self._known[state] = cost - best[state]
