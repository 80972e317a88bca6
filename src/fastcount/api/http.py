"""All routes, on FastAPI. The hot ones are answered below it, by `hot`, from the same operations."""

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar

from fastapi import FastAPI, Query
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request

from fastcount._core import Store
from fastcount.address import pack_http_address
from fastcount.api import bodies, models, openapi, responses
from fastcount.api.intake import Intake
from fastcount.api.operations import FRAME, JSON, NDJSON, Operations, media_type, refuse_encoding, unsupported
from fastcount.api.pages import add_pages
from fastcount.api.responses import Answer, JsonAnswer, error
from fastcount.api.routing import CounterRoute, HeadAsGet, method_not_allowed, name, not_found
from fastcount.version import VERSION
from fastcount.wire import MAX_FRAME

log = logging.getLogger("fastcount")

OFF_LOOP: Final = 2  # scans and big bodies at once
WAITING: Final = 32  # that may wait for one of those
MANY: Final = 100  # uniques in one request from which on it does, at 5 µs an estimate
BIG: Final = 16 << 10  # bytes of a batch from which on it leaves the loop: about a millisecond of JSON

_T = TypeVar("_T")


class Busy(Exception):
    """Too many requests wait for a thread."""


class OffLoop:
    """Runs what takes long in threads, few at once."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(OFF_LOOP)
        self._asked = 0

    async def run(self, work: Callable[..., _T], *args: Any) -> _T:
        """Raises Busy."""
        if self._asked >= OFF_LOOP + WAITING:
            raise Busy
        self._asked += 1
        try:
            async with self._free:
                return await asyncio.to_thread(work, *args)
        finally:
            self._asked -= 1


def create_app(
    store: Store,
    *,
    started: float,
    udp_stats: Callable[[], list[dict[str, Any]]],
    clock: Callable[[], float] = time.time,
) -> FastAPI:
    """The whole HTTP interface over `store`.

    started: when the server started, by `clock`. udp_stats: one row a UDP worker. clock: Unix seconds.
    ``app.state.operations`` is what `hot.protocol_class` needs.
    """
    app = FastAPI(
        title="fastcount", version=VERSION, docs_url=None, redoc_url=None, redirect_slashes=False, openapi_url=None
    )
    app.openapi = openapi.describe(app)  # type: ignore[method-assign]
    app.state.operations = Operations(store, clock)
    app.add_middleware(HeadAsGet)
    _add_error_handlers(app)
    intake, off_loop = Intake(), OffLoop()
    _add_counters(app, app.state.operations, intake)
    _add_batches(app, app.state.operations, intake, off_loop)
    _add_server(app, app.state.operations, off_loop, lambda: max(0.0, round(clock() - started, 3)), udp_stats)
    add_pages(app)
    return app


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(HTTPException)
    async def http_error(request: Request, failed: HTTPException) -> JsonAnswer:
        if failed.status_code == 404:
            return JsonAnswer(not_found(request.scope))
        if failed.status_code == 405:
            return JsonAnswer(method_not_allowed(request.scope, app.routes))
        return JsonAnswer(error(failed.status_code, "bad_request", str(failed.detail)))

    @app.exception_handler(RequestValidationError)
    async def invalid_parameter(request: Request, failed: RequestValidationError) -> JsonAnswer:
        first = failed.errors()[0]
        where = ".".join(str(part) for part in first["loc"][1:])
        return JsonAnswer(error(422, "invalid_parameter", f"{where}: {first['msg']}, not {first['input']!r:.80}"))

    @app.exception_handler(bodies.BadBody)
    async def bad_body(request: Request, bad: bodies.BadBody) -> JsonAnswer:
        return JsonAnswer(error(bad.status, bad.code, str(bad), **bad.details))

    @app.exception_handler(Busy)
    async def busy(request: Request, failed: Busy) -> JsonAnswer:
        message = "too many scans or large bodies are being worked on; try again in a second"
        return JsonAnswer(error(503, "busy", message, extra=((b"retry-after", b"1"),)))

    @app.exception_handler(Exception)
    async def bug(request: Request, failed: Exception) -> JsonAnswer:  # uvicorn logs the traceback
        return JsonAnswer(error(500, "internal", "this is a bug in the server; its log says more"))


def _add_counters(app: FastAPI, operations: Operations, intake: Intake) -> None:
    def route(endpoint: Callable[..., Any], method: str, verb: str = "", **described: Any) -> None:
        app.router.routes.append(
            CounterRoute(
                "/v1/counter/{type}/{id}" + verb,
                endpoint,
                methods=[method],
                tags=["counters"],
                **described,
            )
        )

    async def increment(request: Request) -> JsonAnswer:
        """Add `delta` (1 without a body) and say the total after."""
        body = await intake.body(request, bodies.MAX_INCREMENT)
        if isinstance(body, Answer):
            return JsonAnswer(body)
        refusal = _unsupported_promise(request)
        return JsonAnswer(refusal or operations.increment(name(request), request.scope["headers"], body))

    async def get(request: Request) -> JsonAnswer:
        """The total of one counter; 0 if it was never counted."""
        return JsonAnswer(operations.get(name(request)))

    async def unique(request: Request) -> JsonAnswer:
        """How many different members were counted under this name; 0 if there was none. A reset leaves them."""
        return JsonAnswer(operations.unique(name(request)))

    async def sample(request: Request) -> JsonAnswer:
        """Some of the different members, each with the same chance, however often it came; in no telling order."""
        return JsonAnswer(operations.sample(name(request)))

    async def reset(request: Request) -> JsonAnswer:
        """Subtract what the counter reads now; what is counted meanwhile stays."""
        return JsonAnswer(operations.reset(name(request)))

    asked = openapi.body(False, ("application/json", openapi.ref(models.Increment), {"delta": 1, "member": "user_7"}))
    route(
        increment,
        "POST",
        "/increment",
        summary="Count",
        responses={200: {"model": models.Incremented}, **openapi.errors(400, 403, 413, 415, 422, 507)},
        openapi_extra=openapi.counter(asked),
    )
    found = {200: {"model": models.Counter}, **openapi.errors(400, 422)}
    route(get, "GET", summary="Read", responses=found, openapi_extra=openapi.counter())
    different = {200: {"model": models.CounterUnique}, **openapi.errors(400, 422)}
    route(unique, "GET", "/unique", summary="Uniques", responses=different, openapi_extra=openapi.counter())
    some = {200: {"model": models.CounterSample}, **openapi.errors(400, 422)}
    route(sample, "GET", "/sample", summary="Sample", responses=some, openapi_extra=openapi.counter())
    gone = {200: {"model": models.Reset}, **openapi.errors(400, 422)}
    route(reset, "DELETE", summary="Reset", responses=gone, openapi_extra=openapi.counter())


def _add_batches(app: FastAPI, operations: Operations, intake: Intake, off_loop: OffLoop) -> None:
    async def sized(body: bytes, work: Callable[..., Answer], *args: Any) -> Answer:
        """Small bodies are done sooner here than in a thread."""
        return await off_loop.run(work, *args) if len(body) > BIG else work(*args)

    def count(parse: Callable[[bytes], list[bodies.Frame]], body: bytes, address: bytes) -> Answer:
        return operations.apply_frames(parse(body), address)

    def read(body: bytes) -> Answer:
        return operations.read_many(bodies.asked(body))

    some = [{"type": "hits", "id": "/favicon.ico"}, {"type": "likes", "id": "42", "delta": -1}]
    frame = {"type": "string", "format": "binary", "description": "One frame, see docs/wire-format.md"}
    line = {"type": "string", "description": "One increment, a JSON object, a line"}

    @app.post(
        "/v1/increments",
        tags=["batches"],
        summary="Count many",
        responses={200: {"model": models.Applied}, **openapi.errors(400, 409, 413, 415, 422, 503)},
        openapi_extra={
            "requestBody": openapi.body(
                True,
                ("application/json", openapi.ref(models.Increments), {"increments": some}),
                ("application/x-ndjson", line, "".join(responses.to_json(item).decode() + "\n" for item in some)),
                ("application/octet-stream", frame, None),
                ("application/vnd.fastcount.frame", frame, None),
            )
        },
    )
    async def increments(request: Request) -> JsonAnswer:
        """JSON (up to 8 MiB, also a bare list), NDJSON (the same), or one binary frame (up to 1 MiB).

        Everything is checked before anything is counted. What fits into 1 MiB of a binary frame is counted as one
        consistent cut. New names past a limit of the server are refused and counted in `refused`, the others are
        counted.
        """
        headers = request.scope["headers"]
        media = media_type(headers)
        body = await intake.body(request, MAX_FRAME if media in FRAME else bodies.MAX_JSON)
        if isinstance(body, Answer):
            return JsonAnswer(body)
        refusal = refuse_encoding(headers) or _unsupported_promise(request)
        if refusal is not None:
            return JsonAnswer(refusal)
        address = pack_http_address(request.client.host) if request.client else b""
        if media in FRAME:
            return JsonAnswer(await sized(body, operations.apply_frame, body, address))
        if media not in (JSON, NDJSON):
            wanted = "application/json, application/x-ndjson or application/vnd.fastcount.frame"
            return JsonAnswer(unsupported(media, wanted))
        parse = bodies.increments_json if media == JSON else bodies.increments_ndjson
        return JsonAnswer(await sized(body, count, parse, body, address))

    two = {"counters": [{"type": "hits", "id": "/favicon.ico"}, {"type": "likes", "id": "42"}]}

    @app.post(
        "/v1/counters:read",
        tags=["batches"],
        summary="Read many",
        responses={200: {"model": models.Counters}, **openapi.errors(400, 413, 415, 422, 503)},
        openapi_extra={
            "requestBody": openapi.body(True, ("application/json", openapi.ref(models.CounterNames), two)),
        },
    )
    async def read_many(request: Request) -> JsonAnswer:
        """Up to 10,000 totals, in the order asked for; with `unique` and `sample` what is known of their members."""
        headers = request.scope["headers"]
        body = await intake.body(request, bodies.MAX_JSON)
        if isinstance(body, Answer):
            return JsonAnswer(body)
        refusal = refuse_encoding(headers)
        if refusal is None and media_type(headers) != JSON:
            refusal = unsupported(media_type(headers), "application/json")
        if refusal is not None:
            return JsonAnswer(refusal)
        if len(body) > BIG:
            return JsonAnswer(await off_loop.run(read, body))
        asked = bodies.asked(body)
        if asked.sample or (asked.unique and len(asked.names) > MANY):
            return JsonAnswer(await off_loop.run(operations.read_many, asked))
        return JsonAnswer(operations.read_many(asked))


def _add_server(
    app: FastAPI,
    operations: Operations,
    off_loop: OffLoop,
    uptime: Callable[[], float],
    udp_stats: Callable[[], list[dict[str, Any]]],
) -> None:
    @app.get(
        "/v1/top/{type}",
        tags=["server"],
        summary="Largest totals or uniques",
        responses={200: {"model": models.Top}, **openapi.errors(422, 503)},
    )
    async def top(
        type: str, k: Annotated[int, Query(ge=1, le=10_000)] = 10, by: Literal["value", "unique"] = "value"
    ) -> JsonAnswer:
        """The `k` counters of a type with the largest totals, or the most different members; ties by id."""
        return JsonAnswer(await off_loop.run(operations.top, type.encode(errors="replace"), k, by))

    @app.get(
        "/v1/unique/{type}",
        tags=["server"],
        summary="Uniques of a whole type",
        responses={200: {"model": models.TypeUnique}, **openapi.errors(422, 503)},
    )
    async def unique_of_type(type: str) -> JsonAnswer:
        """How many different members were counted under all names of a type together; 0 if there was none."""
        return JsonAnswer(await off_loop.run(operations.unique_of_type, type.encode(errors="replace")))

    @app.get(
        "/v1/sources",
        tags=["server"],
        summary="The loss ledger",
        responses={200: {"model": models.Sources}, **openapi.errors(422, 503)},
    )
    async def sources(
        limit: Annotated[int, Query(ge=1, le=65_536)] = 100,
        source: Annotated[
            str | None, Query(pattern="^[0-9a-fA-F]{16}$", description="16 hex digits: only this one")
        ] = None,
    ) -> JsonAnswer:
        """What each source sent, what arrived, and what was lost, repeated or reordered, in frames and in records.

        A source that sends from several addresses has several rows.
        """
        return JsonAnswer(await off_loop.run(operations.sources, limit, source))

    @app.get("/v1/stats", tags=["server"], summary="Counters of the server", responses={200: {"model": models.Stats}})
    async def stats() -> JsonAnswer:
        """Counters of the store and of the UDP workers."""
        found = {"version": VERSION, "uptime_s": uptime(), "store": operations.store.stats(), "udp": udp_stats()}
        return JsonAnswer(responses.ok(found))

    @app.get("/healthz", tags=["server"], summary="Is it up", responses={200: {"model": models.Health}})
    async def healthz() -> JsonAnswer:
        """200 while the server answers."""
        return JsonAnswer(responses.ok({"status": "ok", "version": VERSION, "uptime_s": uptime()}))

    @app.get("/openapi.json", include_in_schema=False)
    async def schema() -> JsonAnswer:
        return JsonAnswer(responses.ok(app.openapi()))


def _unsupported_promise(request: Request) -> Answer | None:
    """Counting without what was asked for would let a retry count twice, or take for durable what is not."""
    if "idempotency-key" in request.headers:
        message = "Idempotency-Key is not supported: a retry could count twice. Send a binary frame with source and seq"
        return error(422, "unsupported", message)
    if "ack" in request.query_params:
        return error(422, "unsupported", "ack is not supported: counts are kept in memory only, leave ack out")
    return None
