"""The automaton of tetra-tagging: which sides of words and nodes make one binary tree, and the best that do.

A word or node is a left child (`l`, `L`) or a right child (`r`, `R`) of its parent; the root counts as `L`. The state
is the number of unfinished subtrees on the stack. A left word starts one and a right word fills the last gap of one.
Then a left node opens the finished one again, above itself, and a right node hangs it, opened, into the one below.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from mckd_ray.tasks.base import Scores

DEEPEST = 24
"""The deepest stack that the search goes to."""
NEVER = np.float32(-1e9)
CHANGE = {"lL": 1, "lR": 0, "rL": 0, "rR": -1, "l": 0, "r": 0}
"""The sides of a word and of the node after it (none after the last word): how much deeper the stack is then."""
MOVES = tuple(CHANGE)[:4]

Classes = tuple[Scores, npt.NDArray[np.intp]]


@lru_cache(maxsize=4096)
def legal_moves(depth: int, left: int) -> tuple[str, ...]:
    """The sides of the next word and of the node after it at stack depth `depth`, where `left` words are to come.

    For the last word, which has no node after it, one side.
    """
    if left == 1:
        return ("l",) if depth == 0 else ("r",)
    possible = MOVES[:1] if depth == 0 else MOVES[:3] if depth == 1 else MOVES
    return tuple(move for move in possible if depth + CHANGE[move] < left)


def nearest_legal(wanted: Sequence[str]) -> Iterator[str]:
    """Legal moves of a sentence, each the wanted one where that is legal; else the word's side counts first."""
    depth = 0
    for index, move in enumerate(wanted):
        allowed = legal_moves(depth, len(wanted) - index)
        if move not in allowed:
            move = max(allowed, key=lambda option: (option[:1] == move[:1], option[1:] == move[1:]))
        depth += CHANGE[move]
        yield move


def best_sequences(
    leaf: Scores, node: Scores, leaf_sides: Sequence[str], node_sides: Sequence[str], lengths: Sequence[int]
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """The values (B, T) of `leaf` (B, T, V) and `node` (B, T, W) with the highest total that make one tree.

    `leaf_sides` are `l` or `r` for each of the V values, `node_sides` are `L`, `R` or, for the value of the last word,
    something else, for each of the W. What is beyond a sentence's length is not meant. Where the values lack a side
    that every tree needs, what comes back is not legal.
    """
    words = {side: _best_of(leaf, leaf_sides, side) for side in "lr"}
    nodes = {side: _best_of(node, node_sides, side) for side in "LR"}
    last = _best_of(node, ["L" if side in "LR" else "-" for side in node_sides], "-")
    moves = _search(words, nodes, np.asarray(lengths))
    at_end = np.arange(leaf.shape[1]) == np.asarray(lengths)[:, None] - 1
    left_word, left_node = np.isin(moves, (0, 1)), np.isin(moves, (0, 2))
    leaf_values = np.where(left_word, words["l"][1], words["r"][1])
    node_values = np.where(at_end, last[1], np.where(left_node, nodes["L"][1], nodes["R"][1]))
    return leaf_values, node_values


def _best_of(scores: Scores, sides: Sequence[str], side: str) -> Classes:
    """The best score among the values on one side, and which value it is (value 0 where there is none)."""
    columns = np.flatnonzero(np.asarray(sides) == side)
    if not len(columns):
        shape = scores.shape[:2]
        return np.full(shape, NEVER, np.float32), np.zeros(shape, np.intp)
    chosen = scores[:, :, columns]
    best = chosen.argmax(axis=2)
    return np.take_along_axis(chosen, best[:, :, None], axis=2)[:, :, 0], columns[best]


def _search(
    words: Mapping[str, Classes], nodes: Mapping[str, Classes], lengths: npt.NDArray[np.int_]
) -> npt.NDArray[np.int8]:
    """Viterbi over the depth of the stack: the index into MOVES of each token's best move, (B, T)."""
    batch, time = words["l"][0].shape
    scores = np.stack([words[move[0]][0] + nodes[move[1]][0] for move in MOVES])
    value = np.full((batch, min(DEEPEST, time) + 2), NEVER, np.float32)
    value[:, 0] = 0
    back = np.zeros((time, *value.shape), np.int8)
    for t in range(time - 1):
        options = np.full((len(MOVES), *value.shape), NEVER, np.float32)
        for index, move in enumerate(MOVES):
            deeper = CHANGE[move]
            reached = value[:, 1 - deeper : value.shape[1] - 1 - deeper]
            options[index, :, 1:-1] = reached + scores[index, :, t, None]
        back[t] = options.argmax(axis=0)
        value = options.max(axis=0)
    return _trace(back, lengths)


def _trace(back: npt.NDArray[np.int8], lengths: npt.NDArray[np.int_]) -> npt.NDArray[np.int8]:
    """Follow the pointers (T, B, depth) back from the last words, which all stand at depth 1 (or 0, if alone)."""
    time, batch, _ = back.shape
    rows = np.arange(batch)
    moves = np.zeros((batch, time), np.int8)
    depth = np.ones(batch, np.intp)
    changes = np.array([CHANGE[move] for move in MOVES])
    for t in range(time - 1, -1, -1):
        last_side = MOVES.index("lL") if t == 0 else MOVES.index("rL")
        move = np.where(t == lengths - 1, last_side, back[t, rows, depth])
        moves[:, t] = move
        depth -= np.where(t < lengths - 1, changes[move], 0)
    return moves
