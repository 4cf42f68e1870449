"""Trees as tags: exact round trips, the best legal sequence, legal symbols, and repair of anything."""

import itertools
import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mckd_ray.errors import LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks import tetra
from mckd_ray.tasks.tree_tags import TagsLinearisation, TreeTags
from mckd_ray.tasks.trees import Tree, check_leaves, read_tree
from tests.random_trees import example_of, trees

TREE = "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)) (. .))"
CAT = Example("cat", ("the", "cat", "sleeps", "."))
TAGS = TagsLinearisation()
SCHEME = TreeTags()


def example_with(words: int) -> Example:
    return Example("words", tuple(f"w{index}" for index in range(words)))


def test_a_tree_is_one_tag_a_token_and_back() -> None:
    text = TAGS.linearise(TREE, CAT)
    assert text == "l|L/NP|DT r|L/S|NN l/VP|R|VBZ r|-|."
    assert TAGS.parse(text, CAT) == TREE


@pytest.mark.parametrize(
    "tree",
    [
        "(NN cat)",
        "(NP (NN cat))",
        "(NP (NP (NP (NN cat))))",
        "(NP (NP (NP (NN cat) (NN cat))))",
        "(X (A a) (A a) (A a) (A a) (A a))",
        "(A+B|C%2B (D|E+% cat) (F+ (G| (H sat) (H/ on))))",
    ],
)
def test_unary_chains_flat_nodes_and_odd_labels_come_back(tree: str) -> None:
    example = example_of(read_tree(tree))
    assert TAGS.parse(TAGS.linearise(tree, example), example) == tree


@settings(max_examples=200, deadline=None)
@given(trees())
def test_any_tree_comes_back(tree: Tree) -> None:
    example = example_of(tree)
    text = TAGS.linearise(str(tree), example)
    assert TAGS.parse(text, example) == TAGS.repair(text, example) == str(tree)


@pytest.mark.parametrize("deep", [True, False])
def test_a_tree_of_a_thousand_words_comes_back(deep: bool) -> None:
    example = example_with(1000)
    tree = "(X (N w0))"
    for word in example.tokens[1:]:
        tree = f"(X {tree} (N {word}))" if deep else f"{tree[:-1]} (N {word}))"
    assert SCHEME.join(SCHEME.split(tree, example), example) == tree


@pytest.mark.timeout(240)
def test_all_trees_of_craft_and_ptb_come_back(data: Path) -> None:
    for path in sorted([*data.glob("craft/*.jsonl"), *data.glob("ptb/*.jsonl")]):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            example = Example(row["id"], tuple(row["tokens"]))
            assert SCHEME.join(SCHEME.split(row["tree"], example), example) == row["tree"]


VOCABULARIES = {
    "leaf": ("r", "l", "l/NP", "r/NP+QP"),
    "node": ("L", "-", "R/S", "R", "L/VP+NP"),
    "pos": ("NN", "VBZ"),
}


def random_scores(seed: int, batch: int, time: int) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    shapes = {name: (batch, time, len(values)) for name, values in VOCABULARIES.items()}
    return {
        name: np.log(generator.dirichlet(np.ones(shape[2]), shape[:2])).astype("f4") for name, shape in shapes.items()
    }


def is_legal(leaves: list[str], nodes: list[str]) -> bool:
    text = " ".join(f"{leaf}|{node}|NN" for leaf, node in zip(leaves, nodes, strict=True))
    try:
        TAGS.parse(text, example_with(len(leaves)))
    except LinearisationError:
        return False
    return True


def best_by_trying_all(scores: dict[str, np.ndarray], row: int, length: int) -> float:
    places = list(itertools.product(range(len(VOCABULARIES["leaf"])), range(len(VOCABULARIES["node"]))))
    best = -np.inf
    for chosen in itertools.product(places, repeat=length):
        total = sum(scores["leaf"][row, t, a] + scores["node"][row, t, b] for t, (a, b) in enumerate(chosen))
        if total > best:
            leaves = [VOCABULARIES["leaf"][a] for a, _ in chosen]
            nodes = [VOCABULARIES["node"][b] for _, b in chosen]
            best = total if is_legal(leaves, nodes) else best
    return float(best + scores["pos"][row, :length].max(axis=1).sum())


@pytest.mark.parametrize("seed", range(3))
def test_the_search_finds_what_trying_all_finds(seed: int) -> None:
    scores = random_scores(seed, batch=3, time=3)
    found = SCHEME.best(scores, VOCABULARIES, [1, 2, 3])
    for row, (sequence, length) in enumerate(zip(found, [1, 2, 3], strict=True)):
        assert sequence.confidence * 3 * length == pytest.approx(best_by_trying_all(scores, row, length), rel=1e-5)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 40), min_size=1, max_size=5))
def test_the_search_is_always_legal(seed: int, lengths: list[int]) -> None:
    found = SCHEME.best(random_scores(seed, len(lengths), max(lengths)), VOCABULARIES, lengths)
    for sequence, length in zip(found, lengths, strict=True):
        values = {name: [VOCABULARIES[name][index] for index in places] for name, places in sequence.values.items()}
        text = " ".join("|".join(row) for row in zip(values["leaf"], values["node"], values["pos"], strict=True))
        assert TAGS.parse(text, example_with(length)) == SCHEME.join(values, example_with(length))


@pytest.mark.parametrize("leaf", [("l",), ("r",), ("l", "r")])
@pytest.mark.parametrize("node", [("-",), ("L", "-"), ("-", "R/NP")])
def test_vocabularies_that_lack_a_side_still_give_a_tree(leaf: tuple[str, ...], node: tuple[str, ...]) -> None:
    vocabularies = {"leaf": leaf, "node": node, "pos": ("NN",)}
    scores = {name: np.zeros((2, 4, len(values)), np.float32) for name, values in vocabularies.items()}
    for sequence, length in zip(SCHEME.best(scores, vocabularies, [1, 4]), [1, 4], strict=True):
        values = {name: [vocabularies[name][index] for index in places] for name, places in sequence.values.items()}
        check_leaves(read_tree(SCHEME.join(values, example_with(length))), example_with(length).tokens)


@settings(max_examples=100, deadline=None)
@given(st.lists(trees(5), min_size=1, max_size=3), st.integers(1, 12), st.randoms(use_true_random=False))
def test_any_walk_over_legal_symbols_is_a_tree(seen: list[Tree], words: int, choice: random.Random) -> None:
    inventory = TAGS.inventory((str(tree), example_of(tree)) for tree in seen)
    example = example_with(words)
    legal = TAGS.legal(example, inventory)
    state, symbols = legal.start, []
    while allowed := legal.allowed(state):
        assert not legal.complete(state)
        symbols.append(choice.choice(allowed))
        state = legal.advance(state, symbols[-1])
    assert legal.complete(state)
    check_leaves(read_tree(TAGS.parse(" ".join(symbols), example)), example.tokens)


def test_every_tree_seen_is_a_legal_walk() -> None:
    inventory = TAGS.inventory([(TREE, CAT)])
    legal = TAGS.legal(CAT, inventory)
    state = legal.start
    for symbol in TAGS.linearise(TREE, CAT).split(" "):
        assert symbol in legal.allowed(state)
        state = legal.advance(state, symbol)
    assert legal.complete(state)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "1 tags for 4 tokens"),
        ("l|L|A r|L|A r|L|A", "3 tags for 4 tokens"),
        ("l|L|A r|L|A r|L|A  r|-|A", "5 tags for 4 tokens"),
        ("l|L|A r|L r|L|A r|-|A", "tag 2, 'r|L', is malformed"),
        ("r|L|A r|L|A r|L|A r|-|A", "tag 1, 'r|L|A', makes no tree"),
        ("l|L|A r|R|A r|L|A r|-|A", "tag 2, 'r|R|A', makes no tree"),
        ("l|L|A l|L|A r|L|A r|-|A", "tag 3, 'r|L|A', makes no tree"),
        ("l|L|A r|L|A r|L|A r|L|A", "tag 4, 'r|L|A', makes no tree"),
        ("l|L|A r|-|A r|L|A r|-|A", "tag 2, 'r|-|A', makes no tree"),
    ],
)
def test_what_makes_no_tree_is_refused_with_its_reason_and_repaired(text: str, reason: str) -> None:
    with pytest.raises(LinearisationError) as error:
        TAGS.parse(text, CAT)
    assert reason in str(error.value)
    check_leaves(read_tree(TAGS.repair(text, CAT)), CAT.tokens)


@settings(max_examples=200, deadline=None)
@given(
    trees(),
    st.one_of(st.text(), st.text("lLrR|/-+ NP"), st.lists(st.sampled_from(["l|L|A", "r|-|B", "?"])).map(" ".join)),
)
def test_repair_takes_any_text(tree: Tree, text: str) -> None:
    example = example_of(tree)
    repaired = TAGS.repair(text, example)
    check_leaves(read_tree(repaired), [leaf.word or "" for leaf in tree.leaves()])
    assert TAGS.parse(TAGS.linearise(repaired, example), example) == repaired


def test_repair_keeps_what_can_stay() -> None:
    damaged = TAGS.linearise(TREE, CAT).replace("l/VP|R|VBZ", "gibberish") + " l|L|EXTRA"
    assert TAGS.repair(damaged, CAT) == "(S (NP (DT the) (NN cat)) (X sleeps) (. .))"


def test_moves_are_counted_to_the_last_word() -> None:
    assert tetra.legal_moves(0, 1) == ("l",)
    assert tetra.legal_moves(1, 1) == ("r",)
    assert tetra.legal_moves(0, 2) == ("lL",)
    assert tetra.legal_moves(2, 2) == ("rR",)
    assert tetra.legal_moves(2, 9) == tetra.MOVES
