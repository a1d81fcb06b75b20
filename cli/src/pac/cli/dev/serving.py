"""The runtime's contract for the one agent of `pac dev`, on loopback, under an id that no reload changes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiohttp import web

from pac.agentkit.runtime.api import Answer, Api, middleware
from pac.agentkit.runtime.app import add_agent_routes
from pac.agentkit.runtime.deployment import Deployment
from pac.agentkit.runtime.fleet import Fleet
from pac.agentkit.runtime.wire import error_body
from pac.cli.local.errors import Expected
from pac.cli.local.ports import holder_of

HOST = "127.0.0.1"
OURS = frozenset({HOST, "localhost", "::1"})
SHUTDOWN_SECONDS = 0.5


def build_app(fleet: Fleet, find: Callable[[str], Deployment]) -> web.Application:
    app = web.Application(middlewares=[middleware(no_strangers)], client_max_size=fleet.settings.request_size_bytes)
    add_agent_routes(app, Api(fleet, find))
    return app


def no_strangers(request: web.Request) -> None:
    """There is no secret to show here, so what a browser sends for some other page is refused.

    A name that leads to us but is not ours is DNS rebinding; an origin is another page of this machine or the world.
    """
    if request.url.host not in OURS:
        raise Answer(403, error_body("Ask by 127.0.0.1 or localhost"))
    if "Origin" in request.headers or request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise Answer(403, error_body("Pages of other origins may not ask"))


@asynccontextmanager
async def served(app: web.Application, port: int) -> AsyncIterator[str]:
    """The address. Expected when the port is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, HOST, port).start()
        except OSError as fault:
            why = str(holder_of(port) or fault.strerror)
            raise Expected(f"port {port} cannot be used", why, "pac dev DIR --port 0") from None
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
