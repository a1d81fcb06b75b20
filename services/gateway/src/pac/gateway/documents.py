"""What the gateway says about itself: the description of the API, and a page to read it with and to try it.

Everything is in this package (explorer/README.md): the page works without any other host, and may reach none.
"""

import gzip
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from pac.contracts.identity import Caller

HERE = Path(__file__).parent
CACHED_SECONDS = 300
HTML, SCRIPT, STYLE = "text/html; charset=utf-8", "text/javascript; charset=utf-8", "text/css; charset=utf-8"
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
OF_A_PAGE: Final = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
PAGES: Final = {
    "/docs": ("explorer/index.html", HTML),
    "/docs/start.js": ("explorer/start.js", SCRIPT),
    "/docs/swagger-ui-bundle.js": ("explorer/swagger-ui-bundle.js", SCRIPT),
    "/docs/swagger-ui.css": ("explorer/swagger-ui.css", STYLE),
}
Handler = Callable[[object, web.Request, Caller], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class File:
    body: bytes
    packed: bytes
    tag: str


@cache
def file(name: str) -> File:
    """Read once; the process serves what it was started with."""
    body = (HERE / name).read_bytes()
    return File(body, gzip.compress(body, 6, mtime=0), hashlib.sha256(body).hexdigest()[:32])


def shown(request: web.Request, name: str, media_type: str) -> web.Response:
    """304 for whoever has it already. The validator is weak: packed or not, it says the same."""
    found = file(name)
    headers = {
        hdrs.ETAG: f'W/"{found.tag}"',
        hdrs.CACHE_CONTROL: f"public, max-age={CACHED_SECONDS}",
        hdrs.VARY: hdrs.ACCEPT_ENCODING,
        **OF_A_PAGE,
    }
    asked = [tag.strip().removeprefix("W/") for tag in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")]
    if f'"{found.tag}"' in asked or asked == ["*"]:
        return web.Response(status=304, headers=headers)
    headers[hdrs.CONTENT_TYPE] = media_type
    if "gzip" in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
        return web.Response(body=found.packed, headers={**headers, hdrs.CONTENT_ENCODING: "gzip"})
    return web.Response(body=found.body, headers=headers)


async def openapi(_api: object, request: web.Request, _caller: Caller) -> web.Response:
    return shown(request, "openapi.json", "application/json")


def page(path: str) -> Handler:
    """The handler of one of `PAGES`."""

    async def show(_api: object, request: web.Request, _caller: Caller) -> web.Response:
        return shown(request, *PAGES[path])

    return show
