"""Generation: what is legal, whatever the tokenizer; what ends in time; what a model's words are read as."""

import gc
import math
import random
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from mckd_ray.errors import ModelError
from mckd_ray.records import Example, Outcome
from mckd_ray.student.automaton import Automaton
from mckd_ray.student.endings import Endings
from mckd_ray.student.generation import EncoderDecoder, write
from mckd_ray.student.guides import FreeGuide, LegalGuide
from mckd_ray.student.pieces import Pieces, train_tokenizer
from mckd_ray.student.spans import mask_spans
from mckd_ray.student.writers import LegalWriter, Tries
from mckd_ray.tasks import TASKS
from mckd_ray.tasks.answers import read_answer
from mckd_ray.tasks.base import LegalSymbols

TEXTS = ["play some jazz in new york ;", "the cat (NP sleeps ) on the mats", "atis_flight B-city I-city O Ünïcode"] * 3
EXAMPLE = Example("x", ("play", "Ünïcode", "jazz", "in", "jazz", "city", ";"))
TARGETS = {
    "semantic": "PlayMusic O B-artist B-genre O O B-city O",
    "constituency": "(S (VP (VB play) (NP (NNP Ünïcode) (NN jazz))) (PP (IN in) (NP (NN jazz) (NN city))) (: ;))",
}
CASES = [(task, name) for task in TARGETS for name in TASKS[task].linearisations]


def byte_level() -> Any:
    return train_tokenizer(TEXTS, 400)


def sentencepiece() -> Any:
    """Like T5's: unigrams with a mark for a space before a word, and no pieces for unknown characters."""
    tokenizer = tokenizers.Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<pad>", "</s>", "<unk>"]
    plain = [text.encode("ascii", "ignore").decode().replace("(", "") for text in TEXTS]
    trainer = trainers.UnigramTrainer(vocab_size=60, special_tokens=special, unk_token="<unk>", show_progress=False)
    tokenizer.train_from_iterator(plain, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return wrap(tokenizer)


def word_pieces() -> Any:
    """Like BERT's: punctuation apart, lower case, and no mark for a space."""
    tokenizer = tokenizers.Tokenizer(models.WordPiece(unk_token="<unk>"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["<pad>", "</s>", "<unk>"]
    trainer = trainers.WordPieceTrainer(vocab_size=90, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    return wrap(tokenizer)


def bart_like() -> Any:
    """Byte-level without a space before the first word, and with a start piece."""
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<pad>", "</s>", "<unk>", "<s>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 3), ("</s>", 1)]
    )
    return wrap(tokenizer)


def wrap(tokenizer: Any) -> Any:
    fast: Any = transformers.PreTrainedTokenizerFast
    return fast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>")


TOKENIZERS: list[Callable[[], Any]] = [byte_level, sentencepiece, word_pieces, bart_like]


def legal_of(task: str, name: str) -> LegalSymbols:
    linearisation = TASKS[task].linearisations[name]
    legal = linearisation.legal(EXAMPLE, linearisation.inventory([(TARGETS[task], EXAMPLE)]))
    assert legal is not None
    return legal


def endings_of(legal: LegalSymbols, pieces: Pieces, example: Example = EXAMPLE) -> Endings:
    return Endings(legal, lambda symbol: len(pieces.symbol(symbol)), example.tokens)


def drive(writer: LegalWriter, choose: Callable[[list[int]], int]) -> None:
    """Let `choose` write an output."""
    while not writer.ended and writer.length < writer.limit:
        options = writer.options()
        if not len(options):
            return
        writer.take(choose([int(option) for option in options]))


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize(("task", "name"), CASES)
def test_what_a_student_is_taught_is_what_it_may_write(
    task: str, name: str, whole: bool, tokenizer: Callable[[], Any]
) -> None:
    pieces = Pieces(tokenizer())
    text = TASKS[task].linearisations[name].linearise(TARGETS[task], EXAMPLE)
    if whole:
        pieces.add_symbols(sorted(set(text.split()) - set(EXAMPLE.tokens)))
    writer = LegalWriter(legal_of(task, name), Tries(pieces), 500)
    ids = pieces.symbols(text)[len(pieces.before) :]
    for piece in ids:
        assert piece in writer.options()
        writer.take(piece)
    assert writer.ended
    assert len(writer.text.split()) == len(text.split())
    if tokenizer is not word_pieces and tokenizer is not sentencepiece:  # Those can't tell all of these symbols apart.
        assert writer.text == text


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize(("task", "name"), CASES)
def test_any_legal_pieces_make_a_valid_annotation_in_time(task: str, name: str, tokenizer: Callable[[], Any]) -> None:
    pieces = Pieces(tokenizer())
    tries = Tries(pieces)
    legal = legal_of(task, name)
    linearisation = TASKS[task].linearisations[name]
    shortest = endings_of(legal, pieces).distance(legal.start, 10_000)

    @settings(max_examples=15, deadline=None)
    @given(st.randoms(use_true_random=False), st.integers(0, 60))
    def check(rng: random.Random, spare: int) -> None:
        limit = int(shortest) + 1 + spare
        writer = LegalWriter(legal, tries, limit, endings_of(legal, pieces))
        drive(writer, rng.choice)
        assert writer.ended
        assert writer.length <= limit
        target = linearisation.parse(writer.text, EXAMPLE)
        assert TASKS[task].check(target, EXAMPLE) == target

    check()


@pytest.mark.parametrize("name", ["words", "labelled-words"])
def test_an_output_that_would_not_end_is_brought_to_an_end(name: str) -> None:
    """A model that always opens another bracket, as long as it may, over a long input."""
    pieces = Pieces(byte_level())
    example = Example("x", tuple(f"w{number}" for number in range(100)))
    linearisation = TASKS["constituency"].linearisations[name]
    legal = linearisation.legal(example, {"labels": ("NP", "S", "VP"), "tags": ("DT", "NN")})
    assert legal is not None
    pieces.add_symbols(["(", ")", "(S", "(DT"])
    opening = {pieces.symbol("(")[0], pieces.symbol("(S")[0]}
    limit = int(endings_of(legal, pieces, example).distance(legal.start, 10_000)) + 20
    free = LegalWriter(legal, Tries(pieces), 5000)
    short = LegalWriter(legal, Tries(pieces), limit, endings_of(legal, pieces, example))
    for writer in (free, short):
        drive(writer, lambda options: next((option for option in options if option in opening), options[0]))
        assert writer.ended
        linearisation.parse(writer.text, example)
    assert free.length > limit >= short.length


def test_an_output_that_can_not_end_in_time_is_not_begun() -> None:
    pieces = Pieces(byte_level())
    legal = legal_of("constituency", "words")
    writer = LegalWriter(legal, Tries(pieces), 20, endings_of(legal, pieces))
    assert len(writer.options()) == 0


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize(("task", "name"), CASES)
def test_the_table_for_batches_allows_what_a_writer_allows(task: str, name: str, tokenizer: Callable[[], Any]) -> None:
    """Several random outputs at once, of two inputs that share a language or don't."""
    pieces = Pieces(tokenizer())
    tries = Tries(pieces)
    linearisation = TASKS[task].linearisations[name]
    inventory = linearisation.inventory([(TARGETS[task], EXAMPLE)])
    examples = [EXAMPLE, Example("y", EXAMPLE.tokens[::-1])] * 4
    languages = [linearisation.legal(example, inventory) for example in examples]
    dice = np.random.default_rng(1)
    automaton = Automaton(tries)
    for _ in range(3):
        guide = LegalGuide([legal for legal in languages if legal], 2000, automaton, tries)
        writers = [LegalWriter(legal, tries, 2000) for legal in languages if legal]
        rows = np.arange(len(examples))
        while len(rows := rows[guide.writing(rows)]):
            options = guide.options(rows)
            for row, allowed in zip(rows, options, strict=True):
                assert set(allowed.tolist()) == set(writers[row].options().tolist())
            places = dice.integers(0, options.shape[1], len(rows))
            chosen = options[np.arange(len(rows)), places]
            guide.take(rows, chosen, places)
            for row, piece in zip(rows, chosen.tolist(), strict=True):
                writers[row].take(piece)
        for place, example in enumerate(examples):
            assert guide.text(place) == writers[place].text
            linearisation.parse(guide.text(place), example)


class Grid(LegalSymbols):
    """Symbols of different lengths, of which exactly six make an output; some lead to a state that none leaves."""

    start: Hashable = 0

    def allowed(self, state: Hashable) -> tuple[str, ...]:
        assert isinstance(state, int)
        return ("b", "bb", "bbb", "trap") if 0 <= state < 6 else ()

    def complete(self, state: Hashable) -> bool:
        return state == 6

    def advance(self, state: Hashable, symbol: str) -> Hashable:
        assert isinstance(state, int)
        return -1 if symbol == "trap" else state + 1


def test_the_distance_to_an_end_is_the_shortest_one() -> None:
    endings = Endings(Grid(), len)
    assert [endings.distance(state, 100) for state in (0, 3, 6, -1)] == [6, 3, 0, math.inf]
    assert endings.after(0, "bbb", 100) == 8
    assert endings.distance(0, 5) == math.inf
    assert endings.distance(0, 6) == 6


def tiny_model(pieces: Pieces) -> Any:
    torch.manual_seed(3)
    config = transformers.T5Config(
        vocab_size=len(pieces), d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2,
        pad_token_id=pieces.pad, eos_token_id=pieces.end, decoder_start_token_id=pieces.pad,  # type: ignore[call-arg]
    )  # fmt: skip
    model: Any = transformers.T5ForConditionalGeneration(config)
    return model.eval()


def test_greedy_generation_agrees_with_transformers_own() -> None:
    pieces = Pieces(byte_level())
    model = tiny_model(pieces)
    sources = [pieces.source(text) for text in (*TEXTS[:3], "cat")]
    ends = np.arange(len(pieces)) == pieces.end
    guide = FreeGuide(len(sources), 20, pieces, ends)
    scores = write(EncoderDecoder(model, sources, pieces), guide)
    for row, source in enumerate(sources):
        own = model.generate(
            torch.tensor([source]), max_new_tokens=20, do_sample=False, output_scores=True, return_dict_in_generate=True
        )
        assert own.sequences[0, 1:].tolist() == guide.ids(row)
        expected = model.compute_transition_scores(own.sequences, own.scores, normalize_logits=True).mean()
        assert scores[row] == pytest.approx(float(expected), abs=1e-4)


def test_garbage_is_collected_again_after_generation_even_one_that_fails() -> None:
    pieces = Pieces(byte_level())
    sources = [pieces.source("cat")]
    ends = np.arange(len(pieces)) == pieces.end
    write(EncoderDecoder(tiny_model(pieces), sources, pieces), FreeGuide(1, 5, pieces, ends))
    assert gc.isenabled()
    with pytest.raises(IndexError):
        write(EncoderDecoder(tiny_model(pieces), sources, pieces), FreeGuide(1, 5, pieces, ends[:0]))
    assert gc.isenabled()


def test_a_tokenizer_without_an_end_is_refused() -> None:
    tokenizer = byte_level()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="no piece for the end"):
        Pieces(tokenizer)


@pytest.mark.parametrize("tokenizer", [byte_level, bart_like])
def test_texts_come_back_from_their_pieces(tokenizer: Callable[[], Any]) -> None:
    pieces = Pieces(tokenizer())
    pieces.add_symbols(["(NP", ")", "O"])
    for text in ("the (NP sleeps Orange )", "Ünïcode ⟨O⟩ </s> <pad>\tx", "two  spaces"):
        assert pieces.decode(pieces.text(text)[len(pieces.before) :]) == text
    assert pieces.decode(pieces.symbols("(NP the cat ) O")) == "(NP the cat ) O"
    assert len(pieces.symbols("(NP ) O")) == 4 + len(pieces.before)
    assert pieces.decode(pieces.source("a </s> b")) == "a </s> b"


@given(st.integers(1, 300), st.floats(0.01, 0.99), st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_masked_spans_and_what_is_left_make_the_text(length: int, share: float, seed: int) -> None:
    sentinels, end = list(range(1000, 1032)), 1
    source, target = mask_spans(range(10, 10 + length), share, sentinels, end, np.random.default_rng(seed))
    assert source[-1] == target[-1] == end
    hidden: dict[int, list[int]] = {}
    for piece in target[:-1]:
        if piece >= 1000:
            hidden[piece] = []
        else:
            hidden[max(hidden)].append(piece)
    rebuilt = [piece for each in source[:-1] for piece in hidden.get(each, [each])]
    assert rebuilt == list(range(10, 10 + length))
    masked = sum(map(len, hidden.values()))
    assert masked == max(1, round(length * share))


def test_answers_are_read_strictly_then_repaired_then_given_up() -> None:
    linearisation = TASKS["semantic"].linearisations["interleaved"]
    example = Example("x", ("play", "jazz"))
    good = linearisation.linearise("PlayMusic O B-genre", example)
    assert read_answer(good, linearisation, example) == ("PlayMusic O B-genre", Outcome.OK, "")
    target, outcome, reason = read_answer(good + " and more", linearisation, example)
    assert (target, outcome) == ("PlayMusic O B-genre", Outcome.REPAIRED)
    assert reason
    assert read_answer("", linearisation, example)[:2] == ("", Outcome.UNPARSABLE)
