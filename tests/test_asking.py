"""Asking a server from Ray: its own count of the requests shows what is asked twice, and what again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from aiohttp import web

from tests.running import Experiment
from tests.servers import Ask, ChatServer, completion, refusal

pytestmark = [pytest.mark.slow, pytest.mark.cluster, pytest.mark.timeout(900)]
POOL, TEST = 400, 30


class Rule:
    """Answers every question after a moment, or is out of order."""

    broken = False

    async def __call__(self, ask: Ask) -> web.Response:
        if self.broken:
            return refusal(500, "out of order")
        await asyncio.sleep(0.25)
        return completion("(S (X it ) )", prompt_tokens=10, completion_tokens=5)


@pytest.fixture
def rule() -> Rule:
    return Rule()


@pytest.fixture
def server(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> Iterator[ChatServer]:
    with ChatServer(rule) as running:
        monkeypatch.setenv("OPENAI_BASE_URL", running.url)
        monkeypatch.setenv("OPENAI_API_KEY", "a-key-that-nobody-may-see")
        yield running


def experiment(folder: Path) -> Experiment:
    config: dict[str, Any] = {
        "task": {"kind": "constituency"},
        "corpus": {"format": "builtin", "labelled": 20, "pool": POOL, "dev": 1, "test": TEST},
        "teacher": {"engine": "openai", "model": "m", "shots": 1},
        "plan": {"stages": 1, "systems": ["teacher", "kd"]},
        "resources": {"teacher": {"concurrency": 4}},
    }
    return Experiment(folder, config)


def test_what_was_answered_is_asked_once_however_often_things_die(tmp_path: Path, server: ChatServer) -> None:
    """The engine's actor is killed twice, and the driver once. What is on disk by then is never asked for again."""
    one = experiment(tmp_path)
    one.label_until_killed()
    written = len(one.book())
    asked_before = server.attempts.copy()
    said = one.label()

    assert len(pq.read_table(said["labels"])) == POOL + TEST
    assert said["outcomes"]["failed"] == 0
    keys = [row["key"] for row in one.book()]
    assert len(keys) == len(set(keys)) == POOL + TEST
    assert said["teacher"]["known"] == written
    assert (
        (server.attempts - asked_before).total() == said["teacher"]["asked"] == POOL + TEST - said["teacher"]["known"]
    )
    # Each of the three kills can have cost what was on its way, and what came in since the last write.
    at_risk = 3 * (4 + 4 * 4 * 6)
    assert POOL + TEST <= server.attempts.total() <= POOL + TEST + at_risk
    assert b"a-key-that" not in b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())


def test_what_got_no_answer_is_asked_again_on_the_next_run(tmp_path: Path, server: ChatServer, rule: Rule) -> None:
    one = experiment(tmp_path)
    few = ("corpus.pool=20", "corpus.test=5", "resources.teacher.attempts=1")
    rule.broken = True
    said = one.label(*few)
    assert (said["outcomes"]["failed"], said["unanswered"]) == (25, 25)
    reasons = set(pq.read_table(said["labels"])["reason"].to_pylist())
    assert len(reasons) == 1
    assert "out of order" in reasons.pop()
    rule.broken = False
    again = one.label(*few)
    assert (again["outcomes"]["failed"], again["unanswered"]) == (0, 0)
    assert again["content"] != said["content"]
    assert one.label(*few) == again
    assert set(server.attempts.values()) == {2}
