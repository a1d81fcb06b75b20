"""What the gateway says about itself: the API's description, made when it was built, with a validator for caches."""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aiohttp import hdrs, web

from pac.contracts.identity import Caller

HERE = Path(__file__).parent
CACHED_SECONDS = 300


@dataclass(frozen=True)
class File:
    body: bytes
    media_type: str
    etag: str


@cache
def file(name: str, media_type: str) -> File:
    """Read once; the process serves what it was started with."""
    body = (HERE / name).read_bytes()
    return File(body, media_type, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def shown(request: web.Request, found: File) -> web.Response:
    """304 for whoever has it already."""
    headers = {hdrs.ETAG: found.etag, hdrs.CACHE_CONTROL: f"public, max-age={CACHED_SECONDS}"}
    asked = [tag.strip().removeprefix("W/") for tag in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")]
    if found.etag in asked or asked == ["*"]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.body, headers={**headers, hdrs.CONTENT_TYPE: found.media_type})


async def openapi(_api: object, request: web.Request, _caller: Caller) -> web.Response:
    return shown(request, file("openapi.json", "application/json"))
