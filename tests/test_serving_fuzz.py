"""The endpoint against made bodies: no 5xx, no answer with other leaves than the tokens, none against its document."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance, status_code_conformance
from starlette.testclient import TestClient

from tests.endpoint import app_of, client_of
from tests.test_serving_http import JSON, words_of

CHECKS = [not_a_server_error, response_schema_conformance, status_code_conformance]
ODD = st.sampled_from(
    ["(", ")", "-LRB-", "/", "|", "+", "l/S|R|NN", "\x00", "\x85", " ", "\u3000", "\u200b", "😀", "مرحبا"]
)
TOKENS = st.lists(st.one_of(ODD, st.text(max_size=8)), max_size=12)
TEXTS = st.one_of(st.text(max_size=80), TOKENS.map(" ".join))
ANYTHING = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
INPUTS = st.one_of(
    st.fixed_dictionaries({"text": TEXTS}, optional={"id": st.text(max_size=5)}),
    st.fixed_dictionaries({"tokens": TOKENS}, optional={"id": st.text(max_size=5)}),
    st.dictionaries(st.sampled_from(["text", "tokens", "inputs", "id", "x"]), ANYTHING, max_size=3),
    ANYTHING,
)
BODIES = st.one_of(INPUTS, st.fixed_dictionaries({"inputs": st.lists(INPUTS, max_size=4)}))
# Surrogates and all, as a client may send them; and what is no JSON.
RAW = st.one_of(BODIES.map(json.dumps).map(str.encode), st.binary(max_size=60))


@pytest.fixture(scope="module")
def clients() -> Iterator[list[TestClient]]:
    with client_of() as parser, client_of("semantic") as slots:
        yield [parser, slots]


def check(clients: list[TestClient], body: bytes) -> None:
    for client in clients:
        response = client.post("/v1/parse", content=body, headers=JSON)
        assert response.status_code < 500
        answer = response.json()
        if not response.is_success:
            assert answer["error"]["message"]
            continue
        sent = json.loads(body)
        for given_, result in zip(sent.get("inputs") or [sent], answer.get("results") or [answer], strict=True):
            assert result["tokens"] == given_["tokens"] if "tokens" in given_ else _covers(result, given_["text"])
            if "tree" in result:
                assert words_of(result["tree"]) == result["tokens"]
            else:
                assert len(result["tags"]) == len(result["tokens"])


def _covers(result: dict[str, Any], text: str) -> bool:
    """Whether the tokens' spans hold all of the text but its white space."""
    held = "".join(text[start:end] for start, end in result["spans"])
    return held == "".join(text.split())


@given(body=RAW)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_made_bodies(clients: list[TestClient], body: bytes) -> None:
    check(clients, body)


@pytest.mark.slow
@given(body=RAW)
@settings(max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_ten_thousand_made_bodies(clients: list[TestClient], body: bytes) -> None:
    check(clients, body)


@schemathesis.serializer("application/x-ndjson")
def one_line(context: Any, value: Any) -> bytes:
    return json.dumps(value).encode()


SCHEMA = schemathesis.openapi.from_asgi("/openapi.json", app_of())


@SCHEMA.parametrize()
@settings(max_examples=30, deadline=None)
def test_the_document_is_kept(case: Any) -> None:
    case.call_and_validate(checks=CHECKS)
