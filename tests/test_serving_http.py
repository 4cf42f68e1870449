"""The endpoint's app, in this process with a real small student: what it answers, and what it refuses and why."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from mckd_ray.records import Example, Label, Outcome
from mckd_ray.serving.backend import Backend, Labelled
from mckd_ray.serving.models import Model, find
from tests.endpoint import client_of, trained

JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def parser() -> Iterator[TestClient]:
    with client_of() as client:
        yield client


@pytest.fixture(scope="module")
def slots() -> Iterator[TestClient]:
    with client_of("semantic") as client:
        yield client


class Fixed(Backend):
    """Answers each input with the same label, after some time."""

    def __init__(
        self, raw: str = "", outcome: Outcome = Outcome.OK, target: str = "", reason: str = "", wait: float = 0
    ) -> None:
        self.label_, self.wait = Label("", target, raw, outcome, reason=reason), wait

    async def label(self, examples: Sequence[Example]) -> Labelled:
        await asyncio.sleep(self.wait)
        return Labelled([self.label_ for _ in examples], await self.model())

    async def model(self) -> Model:
        return find(str(trained("constituency")))


def post(client: TestClient, body: object) -> Any:
    return client.post("/v1/parse", json=body)


def test_a_sentence_comes_back_as_a_tree_with_its_places_in_the_text(parser: TestClient) -> None:
    answer = post(parser, {"text": "the cat  sleeps"}).json()
    assert answer["output"] == "(S (NP (DT the) (NN cat)) (VP (VBZ sleeps)))"
    assert (answer["outcome"], answer["spans"]) == ("ok", [[0, 3], [4, 7], [9, 15]])
    assert answer["model"].startswith("student@")
    noun_phrase = answer["tree"]["children"][0]
    assert {key: noun_phrase[key] for key in ("label", "start", "end", "start_char", "end_char")} == {
        "label": "NP",
        "start": 0,
        "end": 2,
        "start_char": 0,
        "end_char": 7,
    }
    assert noun_phrase["children"][1] == {
        "label": "NN",
        "start": 1,
        "end": 2,
        "start_char": 4,
        "end_char": 7,
        "word": "cat",
    }


def test_an_utterance_comes_back_with_intent_and_slots(slots: TestClient) -> None:
    answer = post(slots, {"text": "play jazz now"}).json()
    assert (answer["intent"], answer["tags"]) == ("play", ["O", "B-genre", "O"])
    assert answer["slots"] == [{"label": "genre", "start": 1, "end": 2, "start_char": 5, "end_char": 9, "text": "jazz"}]


def test_several_inputs_are_answered_in_order(parser: TestClient) -> None:
    inputs = [{"id": str(number), "tokens": ["the", "cat"] * (1 + number % 7)} for number in range(40)]
    results = post(parser, {"inputs": inputs}).json()["results"]
    assert [(result["id"], result["tokens"]) for result in results] == [(one["id"], one["tokens"]) for one in inputs]


def test_penn_tokens_of_raw_text(parser: TestClient) -> None:
    text = 'He didn\'t say "cats (and dogs)".'
    answer = post(parser, {"text": text}).json()
    assert answer["tokens"] == ["He", "did", "n't", "say", "``", "cats", "-LRB-", "and", "dogs", "-RRB-", "''", "."]
    assert [text[start:end] for start, end in answer["spans"]][4:8] == ['"', "cats", "(", "and"]


@pytest.mark.parametrize(
    "tokens",
    [
        ["(", ")", "((", "a(b"],
        ["and/or", "\\", "|", "+", "-LRB-"],
        ["😀", "👩\u200d👩\u200d👧", "e\u0301"],
        ["مرحبا", "بالعالم"],
        ["<b>", "&amp;", "'", '"'],
        ["\u200b"],
        ["x"] * 256,
    ],
)
def test_any_tokens_get_a_tree_over_exactly_these(parser: TestClient, tokens: list[str]) -> None:
    answer = post(parser, {"tokens": tokens}).json()
    assert words_of(answer["tree"]) == answer["tokens"] == tokens


def words_of(tree: dict[str, Any]) -> list[str]:
    words, stack = [], [tree]
    while stack:
        node = stack.pop()
        words += [node["word"]] if "word" in node else []
        stack.extend(reversed(node.get("children", [])))
    return words


BAD = {
    "no JSON": (b"{", 400, "body", "not JSON"),
    "nothing": (b"", 400, "body", "not JSON"),
    "not UTF-8": (b'{"text": "\xff"}', 400, "body", "not JSON"),
    "a lone surrogate": (b'{"text": "\\ud800"}', 400, "body", "not JSON"),
    "too deep": (b"[" * 100_000, 400, "body", "recursion"),
    "no object": (b"[]", 422, "body", "must be an object"),
    "an empty object": (b"{}", 422, "body", "exactly one of"),
    "both": (b'{"text": "a", "tokens": ["a"]}', 422, "body", "text and tokens were given"),
    "both of one input": (b'{"inputs": [{"text": "a", "tokens": ["a"]}]}', 422, "inputs[0]", "not both"),
    "a number": (b'{"text": 1}', 422, "text", "valid string"),
    "a number as a token": (b'{"tokens": ["a", 1]}', 422, "tokens[1]", "valid string"),
    "an unknown field": (b'{"txt": "a"}', 422, "txt", "allowed: text"),
    "an id for many": (b'{"id": "x", "inputs": [{"text": "a"}]}', 422, "body", "`id`"),
    "empty text": (b'{"text": ""}', 422, "text", "empty"),
    "white space": (b'{"text": " \\n\\u3000"}', 422, "text", "white space"),
    "no tokens": (b'{"tokens": []}', 422, "tokens", "empty"),
    "no inputs": (b'{"inputs": []}', 422, "inputs", "empty"),
    "an empty token": (b'{"tokens": ["a", ""]}', 422, "tokens[1]", "not empty"),
    "white space in a token": (b'{"tokens": ["a b"]}', 422, "tokens[0]", "white space"),
    "NUL": (b'{"text": "a\\u0000b"}', 422, "text", "U+0000"),
    "a control character": (b'{"inputs": [{"tokens": ["\\u0085"]}]}', 422, "inputs[0].tokens[0]", ""),
    "a long text": (b'{"text": "' + b"a" * 20_000 + b'"}', 422, "text", "20000 characters"),
    "many tokens": (b'{"tokens": [' + b'"a",' * 99_999 + b'"a"]}', 422, "tokens", "100000 tokens"),
    "a long token": (b'{"tokens": ["' + b"a" * 1_000_000 + b'"]}', 422, "tokens[0]", "1000000 characters"),
    "many inputs": (b'{"inputs": [' + b'{"text":"a"},' * 256 + b'{"text":"a"}]}', 413, "inputs", "bulk"),
    "a huge body": (b'{"text": "' + b"a" * (1 << 20) + b'"}', 413, "body", "larger than"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_the_field_and_the_reason(parser: TestClient, case: str) -> None:
    body, status, field, words = BAD[case]
    response = parser.post("/v1/parse", content=body, headers=JSON)
    error = response.json()["error"]
    assert (response.status_code, error["field"]) == (status, field)
    assert words in error["message"]


def test_other_content_types_are_refused(parser: TestClient) -> None:
    for headers in ({}, {"Content-Type": "text/plain"}, {**JSON, "Content-Encoding": "gzip"}):
        assert parser.post("/v1/parse", content=b'{"text": "a"}', headers=headers).status_code == 415
    assert parser.post("/v1/parse/bulk", content=b"{}", headers=JSON).status_code == 415


def test_paths_and_methods_that_are_not_there(parser: TestClient) -> None:
    assert parser.get("/v2/parse").json()["error"]["field"] == "path"
    assert parser.get("/v1/parse").json()["error"]["message"] == "this path takes POST only"


def test_a_deep_tree_is_answered_alone_and_among_others() -> None:
    """Deeper than any JSON library of Python's would go."""
    tree = "(S " * 2000 + "(X a)" + ")" * 2000
    with client_of(backend=Fixed(target=tree)) as client:
        for body in ({"tokens": ["a"]}, {"inputs": [{"tokens": ["a"]}]}):
            response = post(client, body)
            assert (response.status_code, response.text.count('"label": "S"')) == (200, 2000)


def test_what_could_not_be_parsed_has_an_annotation_all_the_same() -> None:
    with client_of(backend=Fixed("nonsense", Outcome.UNPARSABLE, reason="it makes no tree")) as client:
        answer = post(client, {"tokens": ["a", "b"]}).json()
    assert (answer["outcome"], answer["reason"]) == ("unparsable", "it makes no tree")
    assert words_of(answer["tree"]) == ["a", "b"]


def test_what_was_cut_off_is_repaired() -> None:
    with client_of(backend=Fixed("l/NP|L/S|DT", Outcome.FAILED, reason="cut off")) as client:
        answer = post(client, {"tokens": ["a", "b"]}).json()
        assert 'mckd_inputs_total{outcome="repaired",replica="test"} 1.0' in client.get("/metrics").text
    assert (answer["outcome"], answer["tree"]["label"]) == ("repaired", "S")


def test_an_input_that_the_model_cannot_take_is_refused_alone_and_marked_among_others() -> None:
    with client_of(backend=Fixed("", Outcome.FAILED, reason="900 pieces are too many")) as client:
        response = post(client, {"text": "a"})
        assert (response.status_code, response.json()["error"]) == (
            422,
            {"field": "text", "message": "900 pieces are too many"},
        )
        (result,) = post(client, {"inputs": [{"text": "a"}]}).json()["results"]
    assert result == {"outcome": "failed", "reason": "900 pieces are too many"}


def test_a_text_task_takes_text_and_answers_with_text() -> None:
    class Translator(Fixed):
        async def model(self) -> Model:
            return replace(await super().model(), task="text", linearisation="plain")

    with client_of("text", backend=Translator("", target="Die Katze schläft.")) as client:
        answer = post(client, {"text": " The cat sleeps. "}).json()
        assert (answer["output"], "tokens" in answer) == ("Die Katze schläft.", False)
        assert post(client, {"tokens": ["The"]}).json()["error"]["message"] == "this model takes text; give `text`"


def test_a_full_queue_says_when_to_come_again() -> None:
    with client_of(backend=Fixed("", wait=5), limits={"waiting": 1, "request_s": 5}) as client:
        waiting = client.portal
        assert waiting is not None
        first = waiting.start_task_soon(lambda: asyncio.to_thread(post, client, {"text": "a"}))
        while b'mckd_inputs_waiting{replica="test"} 1.0' not in client.get("/metrics").content:
            pass
        response = post(client, {"text": "a"})
        first.cancel()
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")


def test_a_request_that_takes_too_long_ends() -> None:
    with client_of(backend=Fixed("", wait=60), limits={"request_s": 0.05}) as client:
        response = post(client, {"text": "a"})
    assert (response.status_code, response.json()["error"]["message"]) == (504, "no answer within 0.05 s")


def test_a_slow_body_ends() -> None:
    async def go() -> dict[str, Any]:
        sent: list[Any] = []

        async def never() -> Any:
            await asyncio.sleep(60)

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/v1/parse", "query_string": b"", "http_version": "1.1"}
        headers = [(b"content-type", b"application/json")]
        app = client_of(limits={"body_s": 0.05}).app
        await app({**scope, "headers": headers, "asgi": {}}, never, send)
        found: dict[str, Any] = sent[0]
        return found

    assert asyncio.run(go())["status"] == 408


def test_with_a_token_all_but_page_and_probes_want_it() -> None:
    with client_of(token="s3cret") as client:
        assert {
            path: client.get(path).status_code for path in ("/", "/healthz", "/readyz", "/v1/model", "/metrics")
        } == {
            "/": 200,
            "/healthz": 200,
            "/readyz": 200,
            "/v1/model": 401,
            "/metrics": 401,
        }
        for wrong in ("Bearer nope", "Basic s3cret", "Bearer", "s3cret", "Bearer s3cret\u00e9"):
            headers = {b"Authorization": wrong.encode("latin-1")}
            assert client.post("/v1/parse", json={"text": "a"}, headers=headers).status_code == 401
        assert client.post("/v1/parse", json={"text": "a"}, headers={"Authorization": "Bearer s3cret"}).is_success


def test_an_endpoint_without_a_token_answers_to_local_names_only() -> None:
    with client_of(hosts=["localhost", "127.0.0.1", "[::1]"]) as client:
        for host, status in (("localhost:8000", 200), ("[::1]:8000", 200), ("evil.example", 421), ("", 421)):
            assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_the_document_has_an_example_of_a_request_and_of_its_answer(parser: TestClient) -> None:
    document = parser.get("/openapi.json").json()
    answer = document["paths"]["/v1/parse"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    assert words_of(answer["tree"]) == answer["tokens"] == ["The", "cat", "sleeps", "."]
    assert document["components"]["schemas"]["ParseRequest"]["examples"][0].keys() == {"text"}


def test_security_headers_and_no_cors(parser: TestClient) -> None:
    response = parser.get("/", headers={"Origin": "https://evil.example"})
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "Access-Control-Allow-Origin" not in response.headers


def test_the_access_log_has_lines_of_json_without_text_or_token(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    with client_of(token="s3cret", access_log=str(log)) as client:
        headers = {"Authorization": "Bearer s3cret"}
        answer = client.post("/v1/parse", json={"text": "a mysterious purchase"}, headers=headers)
        client.get("/mysterious?s3cret", headers=headers)
    first, second = [json.loads(line) for line in log.read_text().splitlines()]
    assert (first["path"], first["status"], first["tokens"], first["outcomes"]) == ("/v1/parse", 200, 3, {"ok": 1})
    assert first["request"] == answer.headers["X-Request-Id"]
    assert (second["path"], second["status"]) == ("other", 404)
    assert not any(word in log.read_text() for word in ("mysterious", "s3cret"))


def test_an_error_of_ours_is_a_500_that_says_nothing_of_the_input(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Fixed):
        async def label(self, examples: Sequence[Example]) -> Labelled:
            raise RuntimeError(f"cannot do {examples[0].tokens}")

    with client_of(backend=Broken("")) as client:
        response = post(client, {"text": "mysterious"})
    assert response.status_code == 500
    assert response.headers["X-Request-Id"] in response.json()["error"]["message"]
    assert "RuntimeError" in caplog.text
    assert "mysterious" not in caplog.text + response.text


def test_bulk_lines_are_answered_in_order_and_bad_ones_say_why(parser: TestClient) -> None:
    good = [json.dumps({"tokens": ["the", "cat"] * (1 + number % 5)}) for number in range(200)]
    lines = [*good[:100], "", "oops", '{"tokens": []}', "x" * (1 << 21), *good[100:]]
    response = parser.post("/v1/parse/bulk", content="\n".join(lines).encode(), headers=LINES)
    rows = [json.loads(line) for line in response.text.splitlines()]
    assert [row["line"] for row in rows] == [number for number in range(1, len(lines) + 1) if number != 101]
    errors = {row["line"]: row["error"] for row in rows if "error" in row}
    assert {line: error["field"] for line, error in errors.items()} == {
        102: "line 102: body",
        103: "line 103: tokens",
        104: "line 104",
    }
    assert all(words_of(row["tree"]) == row["tokens"] for row in rows if "tree" in row)


def test_bulk_reads_on_only_as_answers_go_out() -> None:
    """With one group in the model's hands and nobody to answer, the body is not read to its end."""
    from mckd_ray.serving.bulk import GROUP, GROUPS, answer_lines
    from mckd_ray.serving.inputs import InputReader
    from mckd_ray.serving.settings import Limits

    async def go() -> int:
        read = 0

        async def body() -> Any:
            nonlocal read
            for _ in range(100 * GROUP):
                read += 1
                yield b'{"text": "a"}\n'

        async def answer(asked: Sequence[Any]) -> list[str]:
            return ["{}" for _ in asked]

        stream = answer_lines(body(), InputReader("text", Limits()), 1000, answer)
        await anext(stream)
        seen = read
        await stream.aclose()  # type: ignore[attr-defined]
        return seen

    assert asyncio.run(go()) <= (GROUPS + 1) * GROUP
