"""The OpenAPI document: what FastAPI can't know, as the handlers read bodies themselves."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from mckd_ray.serving import schema

_ABOUT = """Annotates text with a model that was distilled by mckd_ray. If it wants a token, send
`Authorization: Bearer TOKEN`. Every error has a body `{"error": {"field", "message"}}`.
What a request may hold is under `limits` of `/v1/model`."""
_REF = "#/components/schemas/{model}"


def describe(app: FastAPI) -> None:
    """Give `app` a document with the request bodies, and the lines of the bulk response."""

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
    paths["/v1/parse"]["post"]["requestBody"] = _body("application/json", "ParseRequest")
    bulk = paths["/v1/parse/bulk"]["post"]
    bulk["requestBody"] = _body("application/x-ndjson", "Input")
    lines = _content("application/x-ndjson", "Result")
    bulk["responses"]["200"] = {"description": "A line for each input.", "content": lines}
    return document


def _body(media_type: str, model: str) -> dict[str, Any]:
    return {"required": True, "content": _content(media_type, model)}


def _content(media_type: str, model: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REF.format(model=model)}}}
