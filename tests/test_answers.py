"""The book of answers: what has been asked is found again, by whoever shares the store."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest

from mckd_ray.records import Answer
from mckd_ray.storage import place_at
from mckd_ray.teacher import answers
from mckd_ray.teacher.answers import AnswerBook, prompt_key


def answer(key: str) -> Answer:
    return Answer(key, ("(X a)", "(X b)"), (-0.5, float("-inf")), shots=3, tokens_in=9, tokens_out=4, tokens_cached=2)


def test_what_was_written_is_found_again(tmp_path: Path) -> None:
    book = AnswerBook(place_at(tmp_path / "book"))
    assert book.find(["a"]) == {}
    book.add([answer("a"), answer("b")])
    book.flush()
    assert AnswerBook(place_at(tmp_path / "book")).find(["a", "c"]) == {"a": answer("a")}


def test_a_failure_is_no_answer(tmp_path: Path) -> None:
    book = AnswerBook(place_at(tmp_path))
    book.add([Answer("a", failure="the server was down", again=True), Answer("b", ("",), (0.0,))])
    book.flush()
    assert set(book.find(["a", "b"])) == {"b"}


def write_until_killed(folder: Path) -> None:
    answers.AT_RISK_S = 0.05
    book = AnswerBook(place_at(folder))
    for number in range(10**9):
        book.add([answer(str(number))])


def test_a_killed_process_leaves_what_it_wrote(tmp_path: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=write_until_killed, args=(tmp_path,))
    process.start()
    while len(list(tmp_path.glob("*.parquet"))) < 3:
        assert process.is_alive()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    found = AnswerBook(place_at(tmp_path)).find([str(number) for number in range(10**6)])
    assert len(found) > 3
    assert set(found) == {str(number) for number in range(len(found))}


@pytest.mark.parametrize(
    ("one", "other"), [(("p", ""), ("q", "")), (("p", ""), ("p", "grammar")), (("ab", "c"), ("b", "ca"))]
)
def test_another_question_has_another_key(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert prompt_key(*one) == prompt_key(*one)
    assert prompt_key(*one) != prompt_key(*other)
