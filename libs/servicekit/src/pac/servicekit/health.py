"""The admin port: is the process alive, is it ready, what is wrong, and its figures. Never on a public address."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import web

from pac.servicekit.answers import reply
from pac.servicekit.metrics import Metrics

CHECK_TIMEOUT_SECONDS = 2.0
POLL_AGE_LIMIT_SECONDS = 240.0  # a wait in place is bounded well below it
_KEPT_SECONDS: Final = 1.0
_OK, _NOT_OK = 200, 503


@dataclass(frozen=True)
class Check:
    """Something this process needs. `probe` raises when it is away."""

    name: str
    probe: Callable[[], Awaitable[object]]


@dataclass
class Health:
    """What the process knows about itself. `checks` must all have passed once before it is ready."""

    service: str
    checks: Sequence[Check]
    poll_age_seconds: Callable[[], float] = lambda: 0.0
    details: Callable[[], dict[str, Any]] = dict
    broken_laws: Callable[[], list[str]] = list
    ready: bool = False
    stopping: bool = False
    _seen: dict[str, str] = field(default_factory=dict)
    _seen_at: float = float("-inf")
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> dict[str, str]:
        """Each check's name → `ok` or what is wrong; looked at once a second at most."""
        async with self._lock:
            if time.monotonic() - self._seen_at > _KEPT_SECONDS:
                results = await asyncio.gather(*(self._probe(check) for check in self.checks))
                self._seen = dict(zip((check.name for check in self.checks), results, strict=True))
                self._seen_at = time.monotonic()
            return self._seen

    @staticmethod
    async def _probe(check: Check) -> str:
        try:
            async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                await check.probe()
        except Exception as fault:  # noqa: BLE001 - whatever it is, it is what we report; its text may hold an address
            return f"away ({type(fault).__name__})"
        return "ok"

    def alive(self) -> bool:
        return self.poll_age_seconds() < POLL_AGE_LIMIT_SECONDS


@dataclass(frozen=True)
class Admin:
    health: Health
    metrics: Metrics

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/livez", self.livez)
        app.router.add_get("/readyz", self.readyz)
        app.router.add_get("/healthz", self.healthz)
        app.router.add_get("/metrics", self.show_metrics)
        return app

    async def livez(self, request: web.Request) -> web.Response:  # noqa: ARG002 - that it answers shows the loop runs
        alive = self.health.alive()
        body = {"status": "alive" if alive else "stuck", "poll_age_seconds": round(self.health.poll_age_seconds(), 1)}
        return reply(body, status=_OK if alive else _NOT_OK)

    async def readyz(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's signature
        if self.health.stopping:
            return reply({"status": "stopping"}, status=_NOT_OK)
        seen = await self.health.look()
        away = sorted(name for name, state in seen.items() if state != "ok")
        if not self.health.ready:
            return reply({"status": "starting", "waiting_for": away}, status=_NOT_OK)
        return reply({"status": "degraded", "away": away} if away else {"status": "ready"})

    async def healthz(self, request: web.Request) -> web.Response:
        seen = await self.health.look()
        broken = self.health.broken_laws()
        well = self.health.alive() and not broken and all(state == "ok" for state in seen.values())
        body: dict[str, Any] = {"service": self.health.service, "status": "healthy" if well else "degraded"}
        if "verbose" in request.query:
            body |= {"checks": seen, "ready": self.health.ready, "broken_laws": broken, **self.health.details()}
        return reply(body)

    async def show_metrics(self, request: web.Request) -> web.Response:  # noqa: ARG002 - a handler's signature
        body, content_type = await self.metrics.exposition()
        return web.Response(body=body, headers={"Content-Type": content_type})
