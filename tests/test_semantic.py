"""Intent and slots: linearisations, repair, legal symbols, tags, scores."""

import json
import random
from collections.abc import Hashable
from itertools import pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mckd_ray.errors import DataError, LinearisationError
from mckd_ray.records import Example
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.base import LegalSymbols

TASK = TASKS["semantic"]
LINEARISATIONS = pytest.mark.parametrize("name", sorted(TASK.linearisations))

ROW = {
    "id": "1",
    "tokens": ["play", "westbam", "album", "allergic", "on", "google", "music"],
    "tags": ["O", "B-artist", "O", "B-album", "O", "B-service", "I-service"],
    "intent": "PlayMusic",
}
WRITTEN = {
    "interleaved": "PlayMusic play O westbam B-artist album O allergic B-album on O google B-service music I-service",
    "tags": "PlayMusic O B-artist O B-album O B-service I-service",
    "frame": "intent: PlayMusic; artist: westbam; album: allergic; service: google music",
}

# Tokens and names that the formats themselves use, and few of them, so that words are often repeated.
TOKENS = st.one_of(st.sampled_from(["a", "b", ";", "a;", "\\", ":", "a:", "O", "B-x", "[2]", "intent:"]), st.just("a"))
SLOTS = st.sampled_from(["x", "y", "x[2]", "x;", "x\\", "x:", "intent"])
INTENTS = st.sampled_from(["go", "_", "O", "go;", "a#b", "go\\"])


def read(**changes: Any) -> tuple[Example, str]:
    example, target = TASK.read({**ROW, **changes})
    assert target is not None
    return example, target


def is_legal(tags: tuple[str, ...]) -> bool:
    return all(not tag.startswith("I-") or before in (tag, f"B-{tag[2:]}") for before, tag in pairwise(("O", *tags)))


@st.composite
def annotated(draw: st.DrawFn) -> tuple[Example, str]:
    """A sentence and a legal annotation of it."""
    tokens = draw(st.lists(TOKENS, min_size=1, max_size=9))
    tags: list[str] = []
    for _ in tokens:
        starts = ["O", f"B-{draw(SLOTS)}"]
        tags.append(draw(st.sampled_from(starts if not tags or tags[-1] == "O" else [*starts, f"I-{tags[-1][2:]}"])))
    return read(tokens=tokens, tags=tags, intent=draw(INTENTS))


def all_strings(symbols: LegalSymbols, limit: int) -> set[str]:
    """Every complete string; fails at a dead end, or where a string grows beyond `limit` symbols."""
    found = set[str]()
    open_strings: list[tuple[tuple[str, ...], Hashable]] = [((), symbols.start)]
    while open_strings:
        written, state = open_strings.pop()
        assert len(written) <= limit
        if symbols.complete(state):
            found.add(" ".join(written))
        else:
            assert symbols.allowed(state)
        open_strings += [((*written, symbol), symbols.advance(state, symbol)) for symbol in symbols.allowed(state)]
    return found


@LINEARISATIONS
def test_an_annotation_is_written_and_read_back(name: str) -> None:
    example, target = read()
    assert TASK.linearisations[name].linearise(target, example) == WRITTEN[name]
    assert TASK.linearisations[name].parse(WRITTEN[name], example) == target
    assert TASK.write(example, target) == ROW


@LINEARISATIONS
@pytest.mark.parametrize("corpus", ["atis", "snips"])
def test_every_real_row_comes_back(name: str, corpus: str, data: Path) -> None:
    linearisation = TASK.linearisations[name]
    for split in ("train", "dev", "test"):
        for line in (data / corpus / f"{split}.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            example, target = TASK.read(row)
            assert target is not None
            assert linearisation.parse(linearisation.linearise(target, example), example) == target
            assert TASK.tags is not None
            assert TASK.tags.join(TASK.tags.split(target, example), example) == target
            assert TASK.write(example, target) == row


@LINEARISATIONS
@given(case=annotated())
def test_any_annotation_comes_back(name: str, case: tuple[Example, str]) -> None:
    example, target = case
    linearisation = TASK.linearisations[name]
    written = linearisation.linearise(target, example)
    assert linearisation.parse(written, example) == target
    assert linearisation.repair(f"```\n{written}\n```", example) == target


@given(case=annotated())
def test_tags_come_back(case: tuple[Example, str]) -> None:
    example, target = case
    assert TASK.tags is not None
    assert TASK.tags.join(TASK.tags.split(target, example), example) == target


@pytest.mark.parametrize(
    ("tokens", "tags", "frame"),
    [
        ("in seven years in", "O O O B-state", "intent: PlayMusic; state[2]: in"),
        ("in seven years in", "B-state O O B-state", "intent: PlayMusic; state: in; state: in"),
        ("a b a b a c", "O O B-x I-x O O", "intent: PlayMusic; x[2]: a b"),
        ("a b a b a c", "O O B-x I-x I-x I-x", "intent: PlayMusic; x: a b a c"),
        ("a ; b \\", "B-x I-x B-y[2] O", "intent: PlayMusic; x: a \\;; y\\[2]: b"),
        ("a", "O", "intent: PlayMusic"),
    ],
)
def test_a_frame_marks_words_only_where_they_would_be_found_too_early(tokens: str, tags: str, frame: str) -> None:
    example, target = read(tokens=tokens.split(), tags=tags.split())
    assert TASK.linearisations["frame"].linearise(target, example) == frame
    assert TASK.linearisations["frame"].parse(frame, example) == target


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tags", ""),
        ("tags", "PlayMusic O B-artist O B-album O B-service"),
        ("tags", "PlayMusic O B-artist O B-album O B-service I-album"),
        ("tags", "PlayMusic O B-artist O  B-album O B-service I-service"),
        ("tags", "PlayMusic O X-artist O B-album O B-service I-service"),
        ("interleaved", WRITTEN["interleaved"].replace("westbam", "Westbam")),
        ("interleaved", WRITTEN["interleaved"] + " now O"),
        ("interleaved", WRITTEN["interleaved"].replace("album O ", "")),
        ("frame", ""),
        ("frame", "PlayMusic; artist: westbam"),
        ("frame", "intent: PlayMusic;"),
        ("frame", "intent: PlayMusic; artist: westbam; "),
        ("frame", "intent: PlayMusic; artist: Westbam"),
        ("frame", "intent: PlayMusic; artist[1]: westbam"),
        ("frame", "intent: PlayMusic; artist[2]: westbam"),
        ("frame", "intent: PlayMusic; album: allergic; artist: westbam"),
        ("frame", "intent: PlayMusic\nartist: westbam"),
    ],
)
def test_parse_refuses_all_else(name: str, text: str) -> None:
    with pytest.raises(LinearisationError):
        TASK.linearisations[name].parse(text, read()[0])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tags", "Sure, the tags are:\n\nPlayMusic O b-artist o B-album O B-service I-service."),
        ("tags", "PlayMusic O, B-artist, O, B-album, O, B-service, I-service, O, O"),
        ("tags", "PlayMusic O B-artist O B-album O I-service I-service"),
        ("interleaved", WRITTEN["interleaved"].replace("westbam", "WestBam")),
        ("interleaved", f"Here you are:\n```text\n{WRITTEN['interleaved']}\n```\nShall I go on?"),
        ("interleaved", WRITTEN["interleaved"].replace("google B-service music I-service", "googlemusic B-service")),
        ("interleaved", WRITTEN["interleaved"].replace("allergic B-album", "aller B-album gic I-album")),
        ("interleaved", WRITTEN["interleaved"].replace("album O ", "")),
        ("interleaved", WRITTEN["interleaved"].replace("album O ", "album O called O ")),
        ("interleaved", WRITTEN["interleaved"].replace("play O ", "play ")),
        ("frame", "intent: PlayMusic; album: Allergic; artist: Westbam; service: googlemusic"),
        ("frame", "Sure:\n- **intent**: PlayMusic\n- artist: westbam\n- album: allergic\n- service: google music"),
        ("frame", '{"intent": "PlayMusic", "artist": "westbam", "album": "allergic", "service": "google music"}'),
        ("frame", WRITTEN["frame"] + "; year: 1999; note:"),
        ("frame", WRITTEN["frame"].replace("google music", "the google music app").replace("artist", "artist[7]")),
    ],
)
def test_repair_finds_what_was_meant(name: str, text: str) -> None:
    example, target = read()
    assert TASK.linearisations[name].repair(text, example) == target


PIECES = st.sampled_from(
    ["a", "b", "go", "O", "B-x", "I-x", "i-y", "x:", "x[2]:", "intent:", ";", "\\", "```", "\n", "x: a;"]
)


@LINEARISATIONS
@given(case=annotated(), text=st.one_of(st.text(), st.lists(PIECES).map(" ".join)))
def test_repair_of_any_text_is_a_legal_annotation(name: str, case: tuple[Example, str], text: str) -> None:
    example, _ = case
    repaired = TASK.linearisations[name].repair(text, example)
    assert TASK.check(repaired, example) == repaired


@LINEARISATIONS
@pytest.mark.parametrize("tokens", ["a b", "a a a", "a b a b", "; a ;"])
def test_the_legal_strings_are_exactly_the_linearisations(name: str, tokens: str) -> None:
    linearisation = TASK.linearisations[name]
    choices = product(["O", "B-x[1]", "I-x[1]"], repeat=len(tokens.split()))
    targets = [
        read(tokens=tokens.split(), tags=list(tags), intent=intent)
        for tags in choices
        if is_legal(tags)
        for intent in ("go", "go;")
    ]
    written = {linearisation.linearise(target, example) for example, target in targets}
    inventory = linearisation.inventory((target, example) for example, target in targets)
    symbols = linearisation.legal(targets[0][0], inventory)
    assert symbols is not None
    assert all_strings(symbols, 12) == written
    assert len(written) == len(targets)


@LINEARISATIONS
@given(case=annotated(), other=annotated(), seed=st.integers(0, 1000))
def test_a_random_walk_over_legal_symbols_parses(
    name: str, case: tuple[Example, str], other: tuple[Example, str], seed: int
) -> None:
    linearisation, choice = TASK.linearisations[name], random.Random(seed)
    inventory = linearisation.inventory([case[::-1], other[::-1]])
    symbols = linearisation.legal(case[0], inventory)
    assert symbols is not None
    state, written = symbols.start, list[str]()
    while symbols.allowed(state) and not (symbols.complete(state) and choice.random() < 0.2):
        written.append(choice.choice(symbols.allowed(state)))
        state = symbols.advance(state, written[-1])
    assert symbols.complete(state)
    parsed = linearisation.parse(" ".join(written), case[0])
    assert linearisation.linearise(parsed, case[0]) == " ".join(written)


def test_without_an_inventory_there_is_still_a_legal_string() -> None:
    example, _ = read(tokens=["a"], tags=["O"])
    found = {}
    for name, linearisation in TASK.linearisations.items():
        symbols = linearisation.legal(example, linearisation.inventory([]))
        assert symbols is not None
        found[name] = all_strings(symbols, 5)
    assert found == {"interleaved": {"_ a O"}, "tags": {"_ O"}, "frame": {"intent: _"}}


TAGS = ("B-x", "I-y", "O", "I-x", "B-y", "I-z")  # B-z is not known, so I-z is never legal


@settings(max_examples=60)
@given(seed=st.integers(0, 10_000), lengths=st.lists(st.integers(0, 4), min_size=1, max_size=4), coarse=st.booleans())
def test_the_best_tags_are_those_of_a_search_through_all(seed: int, lengths: list[int], coarse: bool) -> None:
    generator = np.random.default_rng(seed)
    scores = generator.normal(size=(len(lengths), 4, len(TAGS))).astype(np.float32)
    intents = generator.normal(size=(len(lengths), 3)).astype(np.float32)
    if coarse:  # many ties
        scores, intents = np.round(scores), np.round(intents)
    assert TASK.tags is not None
    best = TASK.tags.best({"tag": scores, "intent": intents}, {"tag": TAGS, "intent": ("p", "q", "r")}, lengths)
    for row, (found, length) in enumerate(zip(best, lengths, strict=True)):
        chosen = found.values["tag"]
        totals = {
            places: sum(float(scores[row, step, place]) for step, place in enumerate(places))
            for places in product(range(len(TAGS) - 1), repeat=length)
            if is_legal(tuple(TAGS[place] for place in places))
        }
        assert totals[chosen] == pytest.approx(max(totals.values()), abs=1e-5)
        assert found.values["intent"] == (int(intents[row].argmax()),)
        mean = (totals[chosen] + float(intents[row].max())) / (length + 1)
        assert found.confidence == pytest.approx(mean, abs=1e-5)


def test_the_best_tags_do_not_depend_on_the_batch() -> None:
    generator = np.random.default_rng(0)
    scores = {
        "tag": generator.normal(size=(20, 9, 5)).astype("f4"),
        "intent": generator.normal(size=(20, 2)).astype("f4"),
    }
    names = {"tag": ("O", "B-x", "I-x", "B-y", "I-y"), "intent": ("p", "q")}
    lengths = [int(length) for length in generator.integers(1, 10, size=20)]
    assert TASK.tags is not None
    alone = [
        TASK.tags.best({key: value[row : row + 1] for key, value in scores.items()}, names, lengths[row : row + 1])[0]
        for row in range(20)
    ]
    assert TASK.tags.best(scores, names, lengths) == alone


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"tags": ["O"]}, "1 tags for 7 tokens"),
        ({"tags": ["I-artist", *ROW["tags"][1:]]}, "token 1 has the tag 'I-artist' after 'O'"),
        ({"tags": [*ROW["tags"][:6], "I-artist"]}, "token 7 has the tag 'I-artist' after 'B-service'"),
        ({"tags": ["X", *ROW["tags"][1:]]}, "token 1 has the tag 'X'"),
        ({"tags": ["B-", *ROW["tags"][1:]]}, "token 1 has the tag 'B-'"),
        ({"tags": "O O"}, "'tags' is 'O O'"),
        ({"tokens": ["new york"], "tags": ["O"]}, "'tokens' 1 is 'new york'"),
        ({"tokens": ["new\u00a0york"], "tags": ["O"]}, "'tokens' 1 is"),
        ({"tokens": [], "tags": []}, "'tokens' is \\[\\]"),
        ({"tokens": [1], "tags": ["O"]}, "'tokens' 1 is 1"),
        ({"intent": "play music"}, "the intent 'play music'"),
        ({"intent": ""}, "the intent ''"),
        ({"intent": 3}, "'intent' is 3"),
        ({"id": None}, "'id' is None"),
    ],
)
def test_a_malformed_row_is_refused_with_a_reason(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        TASK.read({**ROW, **changes})


def test_a_row_may_lack_its_intent_or_its_annotation() -> None:
    assert read(intent=None)[1].startswith("_ O")
    assert TASK.read({"id": "1", "tokens": ["a"]}) == (Example("1", ("a",)), None)


def score(*pairs: tuple[str, str | None]) -> dict[str, float]:
    total: dict[str, float] = {}
    for gold, predicted in pairs:
        for key, value in TASK.counts(gold, predicted, Example("1", tuple(gold.split()[1:]))).items():
            total[key] = total.get(key, 0) + value
    return TASK.scores(total)


def test_scores_are_those_of_the_definition() -> None:
    scores = score(("go B-x I-x O B-y", "go B-x O O B-y"), ("stay O B-x", "go O B-x"), ("go B-x", None))
    assert set(scores) == set(TASK.metrics)
    assert scores["slot_precision"] == pytest.approx(100 * 2 / 3)
    assert scores["slot_recall"] == pytest.approx(50)
    assert scores["slot_f1"] == pytest.approx(100 * 4 / 7)
    assert scores["intent_accuracy"] == pytest.approx(100 / 3)
    assert scores["exact_match"] == 0
    assert scores["tag_accuracy"] == pytest.approx(100 * 5 / 7)


@pytest.mark.parametrize(
    ("gold", "predicted", "value"),
    [
        ("go B-x", "go B-x", 100),
        ("go B-x", "go O", 0),
        ("go O", "go O", 100),
        ("go O", "stay B-x", 0),
        ("go O", None, 0),
        ("go B-x B-y", "go B-x O", 100 * 2 / 3),
    ],
)
def test_the_value_of_one_sentence(gold: str, predicted: str | None, value: float) -> None:
    counts = TASK.counts(gold, predicted, Example("1", tuple(gold.split()[1:])))
    assert TASK.example_value(counts) == pytest.approx(value)


def test_slots_have_scores_of_their_own() -> None:
    counts = TASK.counts("go B-x B-y B-x", "go B-x B-x O", Example("1", ("a", "b", "c")))
    assert TASK.breakdown(counts) == {
        "x": {"precision": 50, "recall": 50, "f1": 50, "found": 2},
        "y": {"precision": 0, "recall": 0, "f1": 0, "found": 0},
    }


def test_the_consensus_is_the_candidate_nearest_to_the_others() -> None:
    candidates = ["go B-x O", "go B-x B-y", "go B-x B-y"]
    assert TASK.consensus(candidates, Example("1", ("a", "b"))) == 1
