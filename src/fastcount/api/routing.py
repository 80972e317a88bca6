"""Routing below FastAPI: counters match by `paths.split`, HEAD is GET without a body, 405 names every method."""

from collections.abc import MutableMapping
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from fastcount.api import paths
from fastcount.api.responses import Answer, error

_TARGET: Final = "fastcount.target"


def target(scope: MutableMapping[str, Any]) -> paths.Name | paths.Refusal | None:
    """What the raw path of a request names; None outside of the counters."""
    if _TARGET not in scope:
        raw: bytes = scope.get("raw_path") or b""
        inside = raw.startswith(paths.PREFIX)
        scope[_TARGET] = paths.split(raw, scope["query_string"]) if inside else None
    found: paths.Name | paths.Refusal | None = scope[_TARGET]
    return found


class CounterRoute(APIRoute):
    """A route ``/v1/counter/{type}/{id}[/verb]``; the endpoint finds its `Name` by `name`."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        found = target(scope)
        if not isinstance(found, paths.Name) or found.verb.decode() != self.path.partition("{id}")[2].lstrip("/"):
            return Match.NONE, {}
        full = scope["method"] in (self.methods or ())
        return Match.FULL if full else Match.PARTIAL, {"endpoint": self.endpoint, "path_params": {}, "route": self}


def name(request: Request) -> paths.Name:
    found = target(request.scope)
    assert isinstance(found, paths.Name)
    return found


class HeadAsGet:
    """ASGI middleware. uvicorn keeps its own scope and leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self.app(scope, receive, send)


def not_found(scope: Scope) -> Answer:
    found = target(scope)
    if isinstance(found, paths.Refusal):
        return error(found.status, found.code, found.message)
    return error(404, "not_found", "no such route; see /docs")


def method_not_allowed(scope: Scope, routes: list[BaseRoute]) -> Answer:
    methods: set[str] = set()
    for route in routes:
        if route.matches(scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or set()
    if "GET" in methods:
        methods.add("HEAD")
    allow = ", ".join(sorted(methods))
    return error(
        405,
        "method_not_allowed",
        f"{scope['method']:.20} does not work here; allowed: {allow}",
        extra=((b"allow", allow.encode()),),
    )
