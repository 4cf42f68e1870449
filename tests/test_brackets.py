"""The two linearisations that repeat the words: round trips, strict parsing, repair, legal symbols."""

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mckd_ray.errors import LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks.base import LegalSymbols
from mckd_ray.tasks.brackets import LabelledWordsLinearisation, WordsLinearisation
from mckd_ray.tasks.trees import Tree, check_labels, check_leaves, constituents, read_tree
from tests.random_trees import LABELS, TAGS, example_of, trees, words

WORDS = WordsLinearisation()
LABELLED = LabelledWordsLinearisation()
CAT = Example("cat", ("the", "old", "cat", "sleeps", "."))
TREE = "(S (NP (DT the) (JJ old) (NN cat)) (VP (VBZ sleeps)) (. .))"


def spans(tree: str) -> set[tuple[int, int]]:
    return {(start, end) for _, start, end in constituents(read_tree(tree))}


def test_words_are_the_papers_brackets() -> None:
    text = WORDS.linearise(TREE, CAT)
    assert text == "( ( ( the ) ( old ) ( cat ) ) ( sleeps ) ( . ) )"
    assert WORDS.parse(text, CAT) == "(X (X (X the) (X old) (X cat)) (X sleeps) (X .))"


def test_labelled_words_are_penn_trees_in_single_symbols() -> None:
    text = LABELLED.linearise(TREE, CAT)
    assert text == "(S (NP (DT the ) (JJ old ) (NN cat ) ) (VP (VBZ sleeps ) ) (. . ) )"
    assert LABELLED.parse(text, CAT) == TREE
    assert LABELLED.parse(f"(TOP {TREE})", CAT) == TREE


def without_labels(tree: Tree) -> Tree:
    """What `words` keeps of a tree: chains over one word collapse, labels are X."""
    children = tuple(without_labels(child) for child in tree.children)
    if len(children) == 1 and children[0].word is not None:
        return children[0]
    return Tree("X", children, tree.word)


@settings(deadline=None)
@given(trees())
def test_words_round_trip(tree: Tree) -> None:
    example, target = example_of(tree), str(tree)
    text = WORDS.linearise(target, example)
    assert WORDS.parse(text, example) == WORDS.repair(text, example) == str(without_labels(tree))
    assert WORDS.linearise(WORDS.parse(text, example), example) == text


@settings(deadline=None)
@given(trees())
def test_labelled_words_round_trip(tree: Tree) -> None:
    example, target = example_of(tree), str(tree)
    text = LABELLED.linearise(target, example)
    assert LABELLED.parse(text, example) == LABELLED.repair(text, example) == target
    assert LABELLED.repair(target, example) == target


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("( ( ( the ) ( old ) ( cat ) ) ( sleeps ) ( . )", "1 brackets are not closed"),
        ("( ( the ) ( old ) ( cat ) ( sleeps ) ( . ) ) )", "a closing bracket too many"),
        ("( ( the ) ( old ) ( cat ) sleeps ( . ) )", "'sleeps' is not in a bracket of its own"),
        ("( ( the ) ( old ) ( ) ( cat ) ( sleeps ) ( . ) )", "an empty bracket"),
        ("( ( the ) ( old ) ( cat ) ( slept ) ( . ) )", "differ at token 4"),
        ("( ( the ) ( cat ) ( sleeps ) ( . ) )", "differ at token 2"),
        ("( the ) ( old )", "2 words or brackets at the top"),
        ("", "0 words or brackets at the top"),
    ],
)
def test_words_that_are_not_well_formed_are_refused(text: str, reason: str) -> None:
    with pytest.raises(LinearisationError) as error:
        WORDS.parse(text, CAT)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    "text", ["", TREE[:-1], TREE.replace("old", "odd"), TREE.replace("NP", "NP|X"), f"The tree: {TREE}"]
)
def test_labelled_words_that_are_not_well_formed_are_refused(text: str) -> None:
    with pytest.raises(LinearisationError):
        LABELLED.parse(text, CAT)


REPAIRS = [
    ("( ( ( the ) ( old ) ( cat ) ) ( sleeps ) ( . )", "(X (X the old cat) sleeps .)"),  # not closed
    ("( ( ( the ) ( old ) ( cat ) ) ( sleeps ) ( . ) ) ) )", "(X (X the old cat) sleeps .)"),  # closed too often
    ("( ( ( the ) old ) ( cat ) ) ( sleeps ) ( . ) )", "(X (X the old cat) sleeps .)"),  # a word's bracket half open
    ("( ( ( the ( old ) ( cat ) ) ( sleeps ) ( . ) )", "(X (X the old cat) sleeps .)"),  # half closed
    ("( ( the old cat ) sleeps . )", "(X (X the old cat) sleeps .)"),  # bare words
    ("( ( ( the ) ( cat ) ) ( sleeps ) ( . ) )", "(X (X the old cat) sleeps .)"),  # a word dropped inside
    ("( ( ( the ) ( old ) ( cat ) ) ( sleeps ) )", "(X (X the old cat) sleeps .)"),  # and at the end
    ("( ( ( the ) ( very ) ( old ) ( cat ) ) ( sleeps ) ( . ) )", "(X (X the old cat) sleeps .)"),  # one too many
    ("( ( ( the ) ( oldcat ) ) ( sleeps ) ( . ) )", "(X (X the old cat) sleeps .)"),  # merged
    ("( ( ( t ) ( he ) ( old ) ( cat ) ) ( sleeps ) ( . ) )", "(X (X the old cat) sleeps .)"),  # split
    ("( ( ( The ) ( old ) ( kat ) ) ( sleeps ) ( . ) )", "(X (X the old cat) sleeps .)"),  # altered
    ("( ( the ) ( old ) ( cat ) ) ( ( sleeps ) ( . ) )", "(X (X the old cat) (X sleeps .))"),  # no root
    ("Sure, (as asked):\n```\n( ( ( the ) ( old ) ( cat ) )\n  ( sleeps ) ( . ) )\n```\nHope (this) helps the cat.",
     "(X (X the old cat) sleeps .)"),
    ("the old cat sleeps .\n( ( ( the ) ( old ) ( cat ) ) ( sleeps ) ( . ) )", "(X (X the old cat) sleeps .)"),
    (TREE, "(X (X the old cat) sleeps .)"),  # the other linearisation
    ("I cannot do that.", "(X the old cat sleeps .)"),
    ("", "(X the old cat sleeps .)"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "kept"), REPAIRS)
def test_repair_of_words_keeps_what_can_be_told(text: str, kept: str) -> None:
    repaired = WORDS.repair(text, CAT)
    for token in CAT.tokens:
        kept = kept.replace(f" {token}", f" (X {token})").replace(f"({token}", f"((X {token})")
    assert repaired == kept


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("```\n(S (NP (DT the) (JJ old) (NN cat))\n   (VP (VBZ sleeps))\n   (. .))\n```", TREE),
        ("(ROOT (S (NP (DT The) (JJ old) (NN cat)) (VP (VBZ sleeps)) (. .)))", TREE),
        (TREE.removesuffix("))"), TREE),
        ("Answer: " + TREE, TREE),
        (TREE.replace("(JJ old) ", ""), TREE.replace("JJ", "X")),
        ("(S (NP the old cat) (VP sleeps) (. .))", "(S (NP (X the) (X old) (X cat)) (VP sleeps) (. .))"),
        (TREE.replace("NP", "NP|SBJ"), TREE),
        ("( ( the ) ( old ) ( cat ) ( sleeps ) ( . ) )", "(X (X the) (X old) (X cat) (X sleeps) (X .))"),
    ],
)
def test_repair_of_labelled_words_keeps_what_can_be_told(text: str, repaired: str) -> None:
    assert LABELLED.repair(text, CAT) == repaired


def check_repair(text: str, example: Example) -> None:
    for linearisation in (WORDS, LABELLED):
        repaired = linearisation.repair(text, example)
        tree = read_tree(repaired)
        check_leaves(tree, example.tokens)
        check_labels(tree)
        assert linearisation.parse(linearisation.linearise(repaired, example), example) == repaired


@settings(deadline=None)
@given(st.text(st.sampled_from("()  \n`|abNPthe-"), max_size=60) | st.text(), st.lists(words, min_size=1, max_size=5))
def test_repair_of_any_text_is_a_tree_over_the_tokens(text: str, tokens: list[str]) -> None:
    check_repair(text, Example("any", tuple(tokens)))


@settings(deadline=None)
@given(trees(), st.randoms(use_true_random=False))
def test_repair_of_damaged_linearisations_is_a_tree_over_the_tokens(tree: Tree, dice: random.Random) -> None:
    example = example_of(tree)
    for linearisation in (WORDS, LABELLED):
        symbols = linearisation.linearise(str(tree), example).split(" ")
        for _ in range(dice.randint(1, 4)):
            at = dice.randrange(len(symbols) + 1)
            symbols[at : at + dice.randint(0, 2)] = dice.choices(
                ["(", ")", "the", "(NP", *symbols], k=dice.randint(0, 2)
            )
        check_repair(" ".join(symbols), example)


def test_repair_of_a_runaway_answer_is_quick_and_small() -> None:
    example = Example("long", ("the",) * 200)
    for text in ("(" * 200_000, "( the ) " * 100_000, "(NP " * 100_000, ")" * 100_000, "the " * 100_000):
        for linearisation in (WORDS, LABELLED):
            assert len(linearisation.repair(text, example)) < 20_000


def walk(legal: LegalSymbols, dice: random.Random, limit: int) -> str:
    """A random string of the language; closing brackets are rare, so that trees grow as deep as they may."""
    state, symbols = legal.start, list[str]()
    while allowed := legal.allowed(state):
        assert not legal.complete(state)
        opening = [symbol for symbol in allowed if symbol != ")"]
        symbols.append(
            dice.choice(opening) if opening and dice.random() < dice.choice((0.5, 1.0)) else dice.choice(allowed)
        )
        state = legal.advance(state, symbols[-1])
        assert len(symbols) <= limit
    assert legal.complete(state)
    return " ".join(symbols)


@settings(deadline=None)
@given(st.lists(words, min_size=1, max_size=7), st.randoms(use_true_random=False))
def test_every_legal_string_ends_and_parses(tokens: list[str], dice: random.Random) -> None:
    example = Example("walk", tuple(tokens))
    size = len(tokens)
    text = walk(WORDS.legal(example, {}), dice, 5 * size + 16)
    assert WORDS.linearise(WORDS.parse(text, example), example) == text
    for inventory in ({"labels": LABELS, "tags": TAGS}, {"labels": ("X",), "tags": ("X",)}, {}):
        text = walk(LABELLED.legal(example, inventory), dice, 7 * size + 16)
        assert LABELLED.linearise(LABELLED.parse(text, example), example) == text


def is_legal(text: str, legal: LegalSymbols) -> bool:
    state = legal.start
    for symbol in text.split(" "):
        if symbol not in legal.allowed(state):
            return False
        state = legal.advance(state, symbol)
    return legal.complete(state) and not legal.allowed(state)


@settings(deadline=None)
@given(trees())
def test_linearisations_are_legal(tree: Tree) -> None:
    example, target = example_of(tree), str(tree)
    size = len(example.tokens)
    inventory = LABELLED.inventory([(target, example)])
    found = constituents(tree)
    labelled = is_legal(LABELLED.linearise(target, example), LABELLED.legal(example, inventory))
    assert labelled == (len(found) <= 2 * size + 8)
    wide = sum(end - start > 1 for _, start, end in found)
    assert is_legal(WORDS.linearise(target, example), WORDS.legal(example, {})) == (wide <= size + 8)


def test_illegal_strings_are_not_legal() -> None:
    for text in ("( the )", "( ( ( the ) ) ( old ) ( cat ) ( sleeps ) ( . ) )", "( ( the ) )", "( )", "( ( cat )"):
        assert not is_legal(text, WORDS.legal(CAT, {}))


def test_the_inventory_holds_labels_and_tags() -> None:
    assert LABELLED.inventory([(TREE, CAT), ("(NP (DT the))", Example("the", ("the",)))]) == {
        "labels": ("NP", "S", "VP"),
        "tags": (".", "DT", "JJ", "NN", "VBZ"),
    }


@pytest.mark.slow
def test_all_real_trees_come_back_from_labelled_words(data: Path) -> None:
    count = 0
    for path in sorted([*data.glob("craft/*.jsonl"), *data.glob("ptb/*.jsonl")]):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            example, target = Example(row["id"], tuple(row["tokens"])), row["tree"]
            assert LABELLED.parse(LABELLED.linearise(target, example), example) == target
            count += 1
    assert count == 30_675


def test_real_trees_are_legal_and_unchanged_by_repair(data: Path) -> None:
    for name in ("craft/dev.jsonl", "ptb/dev.jsonl"):
        rows = [json.loads(line) for line in (data / name).read_text(encoding="utf-8").splitlines()[:150]]
        examples = [(row["tree"], Example(row["id"], tuple(row["tokens"]))) for row in rows]
        inventory = LABELLED.inventory(examples)
        for target, example in examples:
            for linearisation in (WORDS, LABELLED):
                text = linearisation.linearise(target, example)
                assert is_legal(text, linearisation.legal(example, inventory))
                assert linearisation.repair(text, example) == linearisation.parse(text, example)
