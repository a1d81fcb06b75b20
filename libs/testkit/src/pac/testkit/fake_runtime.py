"""A runtime that does what a test tells it to: the real contract over real sockets, good and bad manners alike.

`script[prefix] = Script(...)` holds for every wire id that begins with `prefix`; the longest prefix wins. Without one
a deployment turns healthy at its second look. `posts` and `stops` are what it was asked, in order.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from aiohttp import web

HUGE_BYTES = 10 * 1024 * 1024


class Manners(StrEnum):
    """How it answers POST /deploy, or a question for the health."""

    GOOD = "good"
    HANGS = "hangs"
    CLOSES = "closes"
    TAKES_THEN_CLOSES = "takes then closes"  # the outcome is unknown to the caller, and it did happen
    HUGE_ANSWER = "huge answer"
    LIES_ABOUT_IDS = "lies about ids"
    REDIRECTS = "redirects"
    NOT_JSON = "not json"


@dataclass(frozen=True)
class Script:
    """`errors`: statuses answered to the first POSTs. `looks`: health questions until it settles.

    `manners` are those of POST /deploy, `of_health` of each question for the health.
    """

    errors: tuple[int, ...] = ()
    manners: Manners = Manners.GOOD
    of_health: Manners = Manners.GOOD
    looks: int = 1
    ends: str = "healthy"  # healthy | failed | never | half (status healthy, healthy false)
    message: str = "it broke"
    held: bool = False  # settles only after `release`


@dataclass
class Known:
    """A deployment as the fake knows it."""

    app_id: str
    body: dict[str, Any]
    looks: int = 0
    status: str = "loading"
    lines: list[dict[str, str]] = field(default_factory=list)


@dataclass
class FakeRuntime:
    url: str = ""
    secret: str = "runtime-secret"  # noqa: S105 - of a fake
    stops_deployments: bool = True
    gives_logs: bool = True
    script: dict[str, Script] = field(default_factory=dict)
    posts: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    stops: list[str] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    asked_bytes: list[int] = field(default_factory=list)
    redirected: int = 0

    def script_of(self, wire_id: str) -> Script:
        prefixes = [prefix for prefix in self.script if wire_id.startswith(prefix)]
        return self.script[max(prefixes, key=len)] if prefixes else Script()

    def release(self, prefix: str) -> None:
        """What was held back settles now, as its script says."""
        self.script[prefix] = replace(self.script[prefix], held=False)

    def restart_empty(self) -> None:
        self.known.clear()

    def prints(self, wire_id: str, *texts: str) -> None:
        """As the agent of that wire."""
        at = datetime.now(UTC).isoformat()
        self.known[wire_id].lines += [{"at": at, "stream": "stdout", "text": text} for text in texts]

    def given(self, prefix: str = "") -> list[str]:
        """Wire ids POSTed, in order."""
        return [post["deploymentId"] for post in self.posts if post["deploymentId"].startswith(prefix)]

    def serving(self, app_id: object) -> list[str]:
        """Wire ids that run healthy for an app."""
        return [wire_id for wire_id, one in self.known.items() if one.app_id == str(app_id) and one.status == "healthy"]

    async def deploy(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.posts.append(body)
        self.headers.append(dict(request.headers))
        if request.headers.get("Authorization") != f"Bearer {self.secret}":
            return _error(403, "Invalid runtime secret")
        if request.headers.get("Idempotency-Key") != body["deploymentId"]:
            return _error(400, "Idempotency-Key must equal deploymentId")
        wire_id = body["deploymentId"]
        script = self.script_of(wire_id)
        tries = len(self.given(wire_id))
        if tries <= len(script.errors):
            return _error(script.errors[tries - 1], f"scripted for {body['packageUrl']}")
        if (ill := await self._ill_mannered(request, script.manners)) is not None:
            return ill
        # As the real one: an id that failed is dead for ever.
        if wire_id not in self.known or self.known[wire_id].status != "failed":
            self.known[wire_id] = Known(body["agentAppId"], body)
        if script.manners is Manners.TAKES_THEN_CLOSES:
            _hang_up(request)
        return web.json_response({"status": "accepted", "deploymentId": wire_id}, status=202)

    async def _ill_mannered(  # noqa: PLR0911 - one answer for each
        self, request: web.Request, manners: Manners
    ) -> web.StreamResponse | None:
        """None where it does what it was asked to."""
        match manners:
            case Manners.HANGS:
                await asyncio.sleep(3600)
                return web.Response(status=504)
            case Manners.CLOSES:
                _hang_up(request)
                return web.Response()
            case Manners.HUGE_ANSWER:
                return web.Response(body=b"x" * HUGE_BYTES, status=202)
            case Manners.REDIRECTS:
                return web.Response(status=307, headers={"Location": f"{self.url}/elsewhere"})
            case Manners.NOT_JSON:
                return web.Response(text="<html>fine</html>", status=202)
            case Manners.LIES_ABOUT_IDS:
                return web.json_response({"status": "accepted", "deploymentId": "another"}, status=202)
            case Manners.GOOD | Manners.TAKES_THEN_CLOSES:
                return None

    async def health(self, request: web.Request) -> web.StreamResponse:
        wire_id = request.match_info["wire_id"]
        if (one := self.known.get(wire_id)) is None:
            return _error(404, "Deployment not found")
        script = self.script_of(wire_id)
        if (ill := await self._ill_mannered(request, script.of_health)) is not None:
            return ill
        one.looks += 1
        if one.status == "loading" and not script.held and one.looks > script.looks and script.ends != "never":
            self._settle(one, script)
        healthy = one.status == "healthy"
        message = script.message.replace("{url}", str(one.body["packageUrl"])) if one.status == "failed" else None
        if healthy and script.ends == "half":
            healthy = False
        return web.json_response({"status": one.status, "healthy": healthy, "message": message, "details": {}})

    def _settle(self, one: Known, script: Script) -> None:
        one.status = "failed" if script.ends == "failed" else "healthy"
        for other in self.known.values():
            if other is not one and other.app_id == one.app_id and other.status == "healthy" == one.status:
                other.status = "stopped"  # per app the last one serves

    async def stop(self, request: web.Request) -> web.Response:
        if not self.stops_deployments:
            return _error(404, "Not Found")
        wire_id = request.match_info["wire_id"]
        self.stops.append(wire_id)
        if wire_id not in self.known:
            return _error(404, "Deployment not found")
        self.known[wire_id].status = "stopped"
        return web.json_response({"status": "stopping", "deploymentId": wire_id}, status=202)

    async def logs(self, request: web.Request) -> web.Response:
        """All lines, whatever limit was asked for."""
        one = self.known.get(wire_id := request.match_info["wire_id"])
        if one is None or not self.gives_logs:
            return _error(404, "Not Found")
        self.asked_bytes.append(int(request.query["limit_bytes"]))
        return web.json_response({"deploymentId": wire_id, "lines": one.lines, "truncated": False})

    async def elsewhere(self, request: web.Request) -> web.Response:
        del request
        self.redirected += 1
        return web.json_response({})


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": "HTTPException", "message": message}, status=status)


def _hang_up(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


@asynccontextmanager
async def fake_runtime(**options: Any) -> AsyncIterator[FakeRuntime]:
    """A fake runtime that serves on a free port of 127.0.0.1 for as long as the block lasts."""
    runtime = FakeRuntime(**options)
    app = web.Application()
    app.router.add_post("/deploy", runtime.deploy)
    app.router.add_get("/deployments/{wire_id}/health", runtime.health)
    app.router.add_post("/deployments/{wire_id}/stop", runtime.stop)
    app.router.add_get("/deployments/{wire_id}/logs", runtime.logs)
    app.router.add_route("*", "/elsewhere", runtime.elsewhere)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        runtime.url = f"http://{host}:{port}"
        yield runtime
    finally:
        await runner.cleanup()
