"""A runtime that has every agent up before it is asked: what is measured then is PAC, not somebody's start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web

from pac.cli.local.probes import HOST


@dataclass
class _Runtime:
    known: set[str] = field(default_factory=set)

    async def deploy(self, request: web.Request) -> web.Response:
        wire_id = str((await request.json())["deploymentId"])
        self.known.add(wire_id)
        return web.json_response({"status": "accepted", "deploymentId": wire_id}, status=HTTPStatus.ACCEPTED)

    async def health(self, request: web.Request) -> web.Response:
        if request.match_info["wire_id"] not in self.known:
            return web.json_response({"message": "Deployment not found"}, status=HTTPStatus.NOT_FOUND)
        return web.json_response({"status": "healthy", "healthy": True})

    async def stop(self, request: web.Request) -> web.Response:
        self.known.discard(request.match_info["wire_id"])
        return web.json_response({"status": "stopping"}, status=HTTPStatus.ACCEPTED)


@asynccontextmanager
async def runtime_that_answers_at_once() -> AsyncIterator[str]:
    """Its URL."""
    runtime, app = _Runtime(), web.Application()
    app.router.add_post("/deploy", runtime.deploy)
    app.router.add_get("/deployments/{wire_id}/health", runtime.health)
    app.router.add_post("/deployments/{wire_id}/stop", runtime.stop)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, 0).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
