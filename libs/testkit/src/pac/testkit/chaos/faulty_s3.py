"""A proxy before a real S3 server that errs: refuses, breaks off, does and denies it, stalls. Drawn from a seed.

Requests are signed for the proxy's own address, which stands in `Host`: it is passed on as it came, so the server
checks the same signature. Runs in the loop of the bench, in which the errors can be turned off again.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import cast

from aiohttp import ClientSession, ClientTimeout, DummyCookieJar, web
from multidict import CIMultiDict
from yarl import URL

BODY_MAX_BYTES = 64 * 1024 * 1024
STALL_SECONDS = 10.0
# What belongs to one connection and is said anew on the other.
HOP = ("connection", "keep-alive", "transfer-encoding", "te", "upgrade", "expect")


class Error(StrEnum):
    REFUSED = "refused"  # 503 before anything was done
    DENIED = "done and denied"  # 500, and it was done
    BROKEN = "broken off"  # no answer, and nothing was done
    UNHEARD = "done and broken off"  # no answer, and it was done
    CUT = "cut in the middle"  # the first half of an answer


@dataclass
class FaultyS3:
    """`errors`, `stalls`: how often, of one."""

    server: str
    random: Random
    http: ClientSession
    errors: float = 0.0
    stalls: float = 0.0
    endpoint: str = ""
    counted: Counter[str] = field(default_factory=Counter)

    def calm(self) -> None:
        self.errors = self.stalls = 0.0

    def error_of(self, request: web.Request) -> Error | None:
        """Drawn; a test of one error overrides it."""
        del request
        return self.random.choice(list(Error)) if self.random.random() < self.errors else None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.counted["requests"] += 1
        if self.random.random() < self.stalls:
            self.counted["stalls"] += 1
            await asyncio.sleep(STALL_SECONDS)
        error = self.error_of(request)
        if error is None:
            return _whole(request, *await self._passed_on(request, body))
        self.counted[error.value] += 1
        return await self._err(error, request, body)

    async def _err(self, error: Error, request: web.Request, body: bytes) -> web.StreamResponse:
        match error:
            case Error.REFUSED:
                return _refusal(503, "SlowDown")
            case Error.DENIED:
                await self._passed_on(request, body)
                return _refusal(500, "InternalError")
            case Error.BROKEN:
                return _broken(request)
            case Error.UNHEARD:
                await self._passed_on(request, body)
                return _broken(request)
            case Error.CUT:
                return await _cut(request, *await self._passed_on(request, body))

    async def _passed_on(self, request: web.Request, body: bytes) -> tuple[int, CIMultiDict[str], bytes]:
        headers = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in HOP)
        url = URL(f"{self.server}{request.raw_path}", encoded=True)
        async with self.http.request(
            request.method, url, headers=headers, data=body or None, allow_redirects=False
        ) as response:
            content = await response.read()
            answered = ((name, value) for name, value in response.headers.items() if name.lower() not in HOP)
            return response.status, CIMultiDict(answered), content


def _whole(request: web.Request, status: int, headers: CIMultiDict[str], content: bytes) -> web.StreamResponse:
    length = int(headers.popall("Content-Length", ["0"])[0])
    if request.method != "HEAD":
        return web.Response(status=status, headers=headers, body=content)
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = length  # of what a GET would give
    return response


def _broken(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)  # goes nowhere


async def _cut(request: web.Request, status: int, headers: CIMultiDict[str], content: bytes) -> web.StreamResponse:
    if not content:
        return _broken(request)
    headers.popall("Content-Length", None)
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(content)
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def _refusal(status: int, code: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>a fault</Message></Error>'
    return web.Response(status=status, text=text, content_type="application/xml")


@asynccontextmanager
async def faulty_s3(server: str, random: Random, kind: type[FaultyS3] = FaultyS3) -> AsyncIterator[FaultyS3]:
    """On a free port of 127.0.0.1, without errors until they are set."""
    options = ClientTimeout(total=60)
    async with ClientSession(timeout=options, cookie_jar=DummyCookieJar(), auto_decompress=False) as http:
        proxy = kind(server, random, http)
        app = web.Application(client_max_size=BODY_MAX_BYTES)
        app.router.add_route("*", "/{path:.*}", proxy.handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = cast("tuple[str, int]", runner.addresses[0])
        proxy.endpoint = f"http://{host}:{port}"
        try:
            yield proxy
        finally:
            await runner.cleanup()
