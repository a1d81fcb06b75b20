"""What the local runtime serves, and how its parts are put together."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp
import structlog
from aiohttp import web

from pac.agentkit.environment import allowed, base_environment
from pac.agentkit.providers import BrokenProvider, SecretsProvider, provider_from
from pac.agentkit.runtime.api import Api, Guard, middleware
from pac.agentkit.runtime.download import Downloader, origin_of
from pac.agentkit.runtime.fleet import Fleet, Source
from pac.agentkit.runtime.isolation import Isolation, choose
from pac.agentkit.runtime.output import Listen, unheard
from pac.agentkit.runtime.places import Places
from pac.agentkit.runtime.settings import Settings
from pac.agentkit.runtime.venvs import Venvs, find_uv, open_venvs

logger = structlog.get_logger(__name__)

CONNECT_SECONDS = 10.0


def build_app(settings: Settings, fleet: Fleet) -> web.Application:
    api = Api(fleet, fleet.get)
    app = web.Application(
        middlewares=[middleware(Guard(settings.bearer().encode()))], client_max_size=settings.request_size_bytes
    )
    app.router.add_post("/deploy", api.deploy)
    app.router.add_post("/runtime/deploy", api.deploy)
    app.router.add_get("/deployments", api.list_deployments)
    app.router.add_post("/deployments/{deployment_id}/stop", api.stop)
    add_agent_routes(app, api)
    return app


def add_agent_routes(app: web.Application, api: Api) -> None:
    """What everything that serves an agent answers."""
    app.router.add_get("/deployments/{deployment_id}/health", api.health)
    app.router.add_post("/deployments/{deployment_id}/invoke", api.invoke)
    app.router.add_get("/deployments/{deployment_id}/logs", api.logs)
    app.router.add_get("/livez", api.live)
    app.router.add_get("/readyz", api.ready)


@dataclass(frozen=True)
class Runtime:
    fleet: Fleet
    app: web.Application


@contextlib.asynccontextmanager
async def runtime(settings: Settings, environ: Mapping[str, str]) -> AsyncIterator[Runtime]:
    """As `open_fleet`, with packages from the configured origins."""
    offered = allowed(environ, settings.base_environment)
    provider = provider_from(environ, offered, settings.provider_timeout_seconds)
    if isinstance(provider, BrokenProvider):
        logger.error("secrets_provider_unusable", provider=provider.name, reason=provider.why, then=provider.then)
    base = base_environment(environ, settings.base_environment)
    async with (
        _downloader(settings) as downloader,
        open_fleet(settings, environ, source=downloader, provider=provider, base=base) as fleet,
    ):
        yield Runtime(fleet, build_app(settings, fleet))


@contextlib.asynccontextmanager
async def open_fleet(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    source: Source,
    provider: SecretsProvider,
    base: Mapping[str, str],
    listen: Listen = unheard,
) -> AsyncIterator[Fleet]:
    """Holds the state folder for as long as it is open; stops every agent at the end. AlreadyRunning, NoPython.

    `environ`: that of our process, of which the installer of requirements gets its part.
    """
    places = Places(settings.state_dir)
    lock = await asyncio.to_thread(places.open)
    try:
        isolation = await _isolation(settings, places)
        fleet = Fleet(
            settings=settings,
            places=places,
            isolation=isolation,
            source=source,
            venvs=await _venvs(settings, places, isolation, environ),
            provider=provider,
            base=base,
            turns=asyncio.Semaphore(settings.preparations),
            listen=listen,
        )
        try:
            yield fleet
        finally:
            await fleet.close()
    finally:
        os.close(lock)


@contextlib.asynccontextmanager
async def _downloader(settings: Settings) -> AsyncIterator[Downloader]:
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"Accept-Encoding": "identity", "User-Agent": "pac-local-runtime"},
    ) as session:
        yield Downloader(
            session=session,
            origins=frozenset(origin_of(origin) for origin in settings.package_origins),
            limit_bytes=settings.package_size_bytes,
            attempts=settings.download_attempts,
            timeout_seconds=settings.download_timeout_seconds,
        )


async def _isolation(settings: Settings, places: Places) -> Isolation:
    if os.geteuid() == 0 and settings.agent_first_uid:
        await asyncio.to_thread(places.let_users_pass)
    isolation = await choose(settings.python, settings.agent_first_uid, places.bootstrap)
    if isolation.first_uid is None:
        await asyncio.to_thread(places.close_to_users)
        logger.warning("agents_share_our_user", reason=isolation.reason)
    return isolation


async def _venvs(settings: Settings, places: Places, isolation: Isolation, environ: Mapping[str, str]) -> Venvs:
    uv = await find_uv(settings.uv, isolation.builder)
    environment = base_environment(environ, ()) | allowed(environ, settings.install_environment)
    venvs = Venvs(places.venvs, isolation, environment, uv, settings.install_timeout_seconds)
    return await asyncio.to_thread(open_venvs, venvs)
