"""Constrained answers: what the grammar and the regular expression of an input let a model write, byte by byte."""

import json
import random
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mckd_ray.errors import ConfigError, DataError
from mckd_ray.records import Example
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import LegalSymbols, Linearisation
from mckd_ray.teacher.constraints import Constraint
from tests.random_trees import example_of, trees
from tests.test_semantic import annotated

llguidance: Any = pytest.importorskip("llguidance", reason="llguidance is not installed: run `make install`")

Case = tuple[Example, str]
EVERY = pytest.mark.parametrize(
    ("task", "name"),
    [(task, name) for task in ("constituency", "semantic") for name in sorted(TASKS[task].linearisations)],
)
TREE = (
    Example("1", ("the", "old", "cat", "sleeps", "(", "soundly", ")")),
    ("(S (NP (DT the) (JJ old) (NN cat)) (VP (VBZ sleeps) (PRN (-LRB- -LRB-) (ADVP (RB soundly)) (-RRB- -RRB-))))"),
)
SLOTS = Example("2", ("in", "seven", "years", "in", "maine", ";")), "Ask O B-time I-time O B-place O"
GOLD = {"constituency": TREE, "semantic": SLOTS}
BYTES = llguidance.LLTokenizer("byte")


class Writer:
    """A model with one piece a byte, which may only write what a constraint lets it."""

    def __init__(self, kind: Any, task: str, name: str, example: Example, *shots: Case) -> None:
        linearisation = TASKS[task].linearisations[name]
        inventory = linearisation.inventory((target, shot) for shot, target in shots)
        ((word, text),) = Constraint(kind, linearisation, inventory).structured(example).items()
        self.matcher = llguidance.LLMatcher(BYTES, llguidance.grammar_from(word, text), log_level=0)
        assert not self.matcher.get_error()

    def accepts(self, text: str) -> bool:
        self.matcher.reset()
        written = self.matcher.try_consume_tokens(list(text.encode()))
        return written == len(text.encode()) and bool(self.matcher.is_accepting())

    def write(self, dice: random.Random) -> str:
        """Any answer; where it may end, it does so one time in ten."""
        self.matcher.reset()
        answer = bytearray()
        while not self.matcher.is_stopped():
            mask = int.from_bytes(self.matcher.compute_bitmask(), "little")
            allowed = [byte for byte in range(256) if mask >> byte & 1]
            if not allowed or (self.matcher.is_accepting() and dice.random() < 0.1):
                break
            answer.append(dice.choice(allowed))
            assert self.matcher.consume_token(answer[-1])
        return answer.decode()


def linearisation_of(task: str, name: str) -> Linearisation:
    return TASKS[task].linearisations[name]


@pytest.mark.parametrize("kind", ["grammar", "regex"])
@EVERY
def test_the_gold_may_be_written_and_no_other_words(kind: str, task: str, name: str) -> None:
    example, target = GOLD[task]
    text = linearisation_of(task, name).linearise(target, example)
    writer = Writer(kind, task, name, example, GOLD[task])
    assert writer.accepts(text)
    assert writer.accepts(f" {text}\n")
    assert not writer.accepts(f"{text} {text}")
    assert not writer.accepts(text[:-1])
    assert not writer.accepts("Sure! " + text)
    one, other = example.tokens[1:3]
    if name not in ("tags", "frame"):  # A frame may leave out words.
        assert not writer.accepts(text.replace(f" {one} ", " "))
    if name != "tags":
        assert not writer.accepts(text.replace(one, "?").replace(other, one).replace("?", other))


def is_legal(text: str, legal: LegalSymbols) -> bool:
    state = legal.start
    for symbol in text.split(" "):
        if symbol not in legal.allowed(state):
            return False
        state = legal.advance(state, symbol)
    return legal.complete(state)


def sentences(task: str) -> st.SearchStrategy[Case]:
    return trees().map(lambda tree: (example_of(tree), str(tree))) if task == "constituency" else annotated()


@EVERY
@settings(deadline=None)
@given(st.data(), st.integers())
def test_a_grammar_is_the_language_of_legal_symbols(task: str, name: str, data: st.DataObject, seed: int) -> None:
    """Any linearisation is accepted if it is legal; and whatever is written parses strictly, to the right words."""
    example, target = data.draw(sentences(task))
    linearisation = linearisation_of(task, name)
    text = linearisation.linearise(target, example)
    for shots in ([(example, target)], [], [GOLD[task]]):
        legal = linearisation.legal(example, linearisation.inventory((target, shot) for shot, target in shots))
        assert legal is not None
        writer = Writer("grammar", task, name, example, *shots)
        assert writer.accepts(text) == is_legal(text, legal)
        written = writer.write(random.Random(seed)).strip()
        assert TASKS[task].check(linearisation.parse(written, example), example)
        assert is_legal(written, legal)


@EVERY
@settings(deadline=None)
@given(st.data(), st.integers())
def test_an_expression_keeps_the_words_in_order(task: str, name: str, data: st.DataObject, seed: int) -> None:
    example, target = data.draw(sentences(task))
    linearisation = linearisation_of(task, name)
    writer = Writer("regex", task, name, example, (example, target))
    text = linearisation.linearise(target, example)
    if name in ("tags", "interleaved", "frame"):
        assert writer.accepts(text)
    written = writer.write(random.Random(seed))
    if (task, name) == ("semantic", "interleaved"):
        assert tuple(written.split()[1::2]) == example.tokens
    assert writer.accepts(written)


@pytest.mark.slow
@EVERY
def test_real_rows_may_be_written(task: str, name: str, data: Path) -> None:
    for corpus in ("craft", "ptb") if task == "constituency" else ("atis", "snips"):
        lines = (data / corpus / "dev.jsonl").read_text("utf-8").splitlines()
        rows = [TASKS[task].read(json.loads(line)) for line in lines]
        shots = [(example, target) for example, target in rows if target is not None]
        linearisation = linearisation_of(task, name)
        inventory = linearisation.inventory((target, example) for example, target in shots)
        for kind in ("grammar", "regex"):
            constraint = Constraint(kind, linearisation, inventory)
            for example, target in islice(shots, 0, None, 5):
                ((word, text),) = constraint.structured(example).items()
                matcher = llguidance.LLMatcher(BYTES, llguidance.grammar_from(word, text), log_level=0)
                answer = list(linearisation.linearise(target, example).encode())
                assert matcher.try_consume_tokens(answer) == len(answer)
                assert matcher.is_accepting()


def test_any_text_can_only_be_one_line() -> None:
    plain = TASKS["text"].linearisations["plain"]
    with pytest.raises(ConfigError, match="'plain' has no grammar; use regex or none"):
        Constraint("grammar", plain, {})
    writer = Writer("regex", "text", "plain", Example("1", text="Wie geht's?"))
    assert writer.accepts("How are you?\n")
    assert not writer.accepts("")
    assert not writer.accepts("two\nlines")


def test_an_input_may_be_too_long() -> None:
    constraint = Constraint("grammar", TASKS["constituency"].linearisations["words"], {})
    assert constraint.structured(Example("long", ("a",) * 500))
    with pytest.raises(DataError, match="has 501 words; constrained answers are for 500 at most"):
        constraint.structured(Example("longer", ("a",) * 501))


@EVERY
def test_any_word_can_be_written(task: str, name: str) -> None:
    tokens = ("/", "\\", "\0", "é😀", '"', "#", "//", "%ignore", "a/b\a", "::=", "start:", ".*", ";", "(", "[^")
    linearisation = linearisation_of(task, name)
    example = Example("odd", tokens)
    for kind in ("grammar", "regex"):
        answer = Writer(kind, task, name, example, GOLD[task]).write(random.Random(1)).strip()
        if kind == "grammar":
            assert TASKS[task].check(linearisation.parse(answer, example), example)
