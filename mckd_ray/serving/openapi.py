"""The OpenAPI document: what FastAPI can't know, as the handlers read bodies themselves."""

import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from mckd_ray.records import Example, Label, Outcome
from mckd_ray.serving import schema
from mckd_ray.serving.annotations import result_json
from mckd_ray.serving.inputs import Asked
from mckd_ray.serving.tokenise import tokenise

_ABOUT = """Annotates text with a model that was distilled by mckd_ray. If it wants a token, send
`Authorization: Bearer TOKEN`. Every error has a body `{"error": {"field", "message"}}`.
What a request may hold is under `limits` of `/v1/model`."""
_REF = "#/components/schemas/{model}"


def describe(app: FastAPI) -> None:
    """Give `app` a document with the request bodies, an example of an answer, and the lines of the bulk response."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(title=app.title, version=app.version, description=_ABOUT, routes=app.routes)
    wanted: list[Any] = [(model, "validation") for model in (schema.Input, schema.ParseRequest)]
    _, definitions = models_json_schema([*wanted, (schema.Result, "serialization")], ref_template=_REF)
    components = document.setdefault("components", {})
    components["schemas"] = {**components.get("schemas", {}), **definitions["$defs"]}
    components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    document["security"] = [{}, {"token": []}]
    paths = document["paths"]
    parse = paths["/v1/parse"]["post"]
    parse["requestBody"] = _body("application/json", "ParseRequest")
    parse["responses"]["200"]["content"]["application/json"]["example"] = _answer()
    bulk = paths["/v1/parse/bulk"]["post"]
    bulk["requestBody"] = _body("application/x-ndjson", "Input")
    lines = _content("application/x-ndjson", "Result")
    bulk["responses"]["200"] = {"description": "A line for each input.", "content": lines}
    return document


def _answer() -> dict[str, Any]:
    """What a constituency parser answers to `{"text": "The cat sleeps."}`."""
    tokens = tokenise("The cat sleeps.", "constituency")
    asked = Asked(Example("0", tokens=tokens.words), tokens.spans, None)
    label = Label("0", "(S (NP (DT The) (NN cat)) (VP (VBZ sleeps)) (. .))", "", Outcome.OK, -0.02)
    result = json.loads(result_json(asked, label, "constituency", ""))
    return {"model": "demo/mckd-3@0123456789ab", "seconds": 0.02, **result}


def _body(media_type: str, model: str) -> dict[str, Any]:
    return {"required": True, "content": _content(media_type, model)}


def _content(media_type: str, model: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(model=model)}}}
