"""The dashboard at ``/`` and Swagger UI at ``/docs``, from files on this machine: both work on a closed network."""

import hashlib
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_CSP: Final = "default-src 'none'; script-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
_DASHBOARD_CSP: Final = _CSP + "style-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
_DOCS_CSP: Final = _CSP + "style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
_MEDIA: Final = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "png": "image/png",
}

_DASHBOARD: Final = {
    "/": "index.html",
    "/dashboard/style.css": "style.css",
    "/dashboard/app.js": "app.js",
    "/dashboard/uPlot.min.css": "vendor/uPlot.min.css",
    "/dashboard/uPlot.iife.min.js": "vendor/uPlot.iife.min.js",
    "/favicon.ico": "icon.svg",
    "/docs": "docs.html",
    "/docs/init.js": "docs.js",
}
_SWAGGER: Final = {
    "/docs/swagger-ui.css": "swagger-ui.css",
    "/docs/swagger-ui-bundle.js": "swagger-ui-bundle.js",
}


@cache
def _load(path: str) -> tuple[bytes, dict[str, str]]:
    """Content and headers of a page."""
    source: Traversable
    if path in _DASHBOARD:
        source = files("fastcount").joinpath("dashboard", *_DASHBOARD[path].split("/"))
    else:
        source = files("fastapi_swagger").joinpath("resources", _SWAGGER[path])
    content = source.read_bytes()
    return content, {
        "content-type": _MEDIA[source.name.rpartition(".")[2]],
        "cache-control": "no-cache",
        "etag": f'"{hashlib.blake2b(content, digest_size=12).hexdigest()}"',
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "content-security-policy": _DOCS_CSP if path.startswith("/docs") else _DASHBOARD_CSP,
    }


async def _page(request: Request) -> Response:
    content, headers = _load(request.url.path)
    if request.headers.get("if-none-match") == headers["etag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


def add_pages(app: FastAPI) -> None:
    for path in (*_DASHBOARD, *_SWAGGER):
        app.router.routes.append(Route(path, _page, methods=["GET"], include_in_schema=False))
