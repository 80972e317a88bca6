"""What /docs and /openapi.json say beyond FastAPI's own: path parameters of raw routes, bodies that are parsed by hand,
and the errors of each route with an example."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from fastcount.api import models

DESCRIPTION: Final = """\
Counts things: totals by `type` and `id`, read back at once.

**Names.** A `type` is 1–64 bytes of `A-Z a-z 0-9 _ . -`. An `id` is 1–1,023 bytes of UTF-8 without control characters;
real ids are URLs, so in a path every `/` of an id is written `%2F` and every `%` is `%25`. Where a proxy mangles `%2F`,
put the id into the query: `/v1/counter/hits/increment?id=/favicon.ico`.

**Reads** say how good they are: `as_of` is when, `pending` is what sinks have not got yet, `lost` is how many records
were sent over UDP and never arrived. A name that was never counted reads as 0.

**Uniques and samples.** An increment may name its `member`: how many different ones there were is exact up to 1,792,
then an estimate with a relative standard error of `error`; a sample holds up to 100 of them (`--sample-size`), each
with the same chance.

**Errors** are JSON everywhere: `{"error": code, "message": what was expected}`.

**Browsers.** There is no CORS, bodies are taken as JSON only, and an increment that a browser sends for a page of
another site is refused: other sites cannot count here.
"""

TAGS: Final = [
    {"name": "counters", "description": "One counter at a time. `increment`, `get` and `unique` are the fast routes."},
    {"name": "batches", "description": "Many counters in one request."},
    {"name": "server", "description": "What the server holds, and what it knows to be lost."},
]

_PARAMETERS: Final = [
    {
        "name": "type",
        "in": "path",
        "required": True,
        "description": "Kind of thing counted",
        "schema": {"type": "string", "pattern": models.TYPE_PATTERN},
        "example": "hits",
    },
    {
        "name": "id",
        "in": "path",
        "required": True,
        "description": "What is counted; percent-encode `/` as `%2F` and `%` as `%25`",
        "schema": {"type": "string", "minLength": 1, "maxLength": 1023},
        "example": "/favicon.ico",
    },
]

_WHY: Final[dict[int, tuple[str, str, str]]] = {
    400: ("The request could not be read", "bad_escape", "'%zz' has a '%' without two hex digits after it"),
    403: ("Sent for a page of another site", "cross_site", "a browser sent this for a page of another site"),
    409: ("The frame was not counted", "stale", "not counted: the frame is older than the window of frames"),
    413: ("The body is too large", "body_too_large", "the body is larger than 8 MiB (8,388,608 bytes)"),
    415: ("The body is of a kind that is not taken", "unsupported_media_type", "send Content-Type: application/json"),
    422: ("A name or value breaks the rules", "invalid_name", "id: 1 to 1,023 bytes of UTF-8 are wanted, not 0"),
    503: ("Too much at once", "busy", "too many rankings are being computed; try again in a second"),
    507: ("A limit of the server is reached", "limit_reached", "refused: max_counters is reached"),
}


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route."""
    out: dict[int | str, dict[str, Any]] = {}
    for status in statuses:
        description, code, message = _WHY[status]
        example = {"error": code, "message": message}
        out[status] = {
            "model": models.Error,
            "description": description,
            "content": {"application/json": {"example": example}},
        }
    return out


def counter(body: dict[str, Any] | None = None) -> dict[str, Any]:
    """`openapi_extra` of a counter route."""
    return {"parameters": _PARAMETERS, **({"requestBody": body} if body else {})}


def body(required: bool, *kinds: tuple[str, dict[str, Any], Any]) -> dict[str, Any]:
    """A requestBody. kinds: (media type, schema, example)."""
    content = {
        media: {"schema": schema, **({"example": example} if example is not None else {})}
        for media, schema, example in kinds
    }
    return {"required": required, "content": content}


def ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def describe(app: FastAPI) -> Callable[[], dict[str, Any]]:
    """The `openapi` method of the app."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = get_openapi(
                title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes, tags=TAGS
            )
            asked = (models.Increment, models.Increments, models.NamedIncrement, models.CounterNames)
            _, definitions = models_json_schema(
                [(model, "validation") for model in asked], ref_template="#/components/schemas/{model}"
            )
            schema["components"]["schemas"].update(definitions["$defs"])
            app.openapi_schema = schema
        return app.openapi_schema

    return openapi
