"""A gateway on a real Postgres, with small real servers where the services would be."""

import asyncio
import base64
import itertools
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import aiohttp
import pytest_asyncio
from aiohttp import web
from pydantic import SecretStr
from yarl import URL

from pac.contracts.identity import IDENTITY_HEADER, Caller
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog
from pac.gateway.app import build_service
from pac.gateway.settings import Settings
from pac.servicekit.http import build_http
from pac.servicekit.identity import IdentitySigner, IdentityVerifier
from pac.servicekit.kafka import Subscription
from pac.servicekit.listener import Listener
from pac.servicekit.supervision import Supervisor
from pac.testkit.laws import broken_laws
from pac.testkit.postgres import Database, DatabaseOf, PostgresServer
from pac.testkit.supabase import Issuer

ADMIN_KEY = "operator-of-the-tests"
SIGNER = IdentitySigner(bytes(range(32)))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Json = dict[str, Any]


async def say_ok(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.json_response({"ok": True})


async def _no_early_continue(request: web.Request) -> None:
    """As in the services: whoever wants the body asks for it."""


@dataclass
class Upstream:
    """A real server in the place of a service; `handle` is what it does, `seen` what it was asked."""

    name: ServiceName
    handle: Handler = say_ok
    seen: list[web.Request] = field(default_factory=list)
    port: int = 0
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> None:
        app = web.Application(client_max_size=2**40)
        app.router.add_route("*", "/{path:.*}", self._serve, expect_handler=_no_early_continue)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def caller(self, index: int = -1) -> Caller:
        """Who called, by the signed identity; raises if that is not exactly for this request."""
        request = self.seen[index]
        verifier = IdentityVerifier.from_base64(self.name, SIGNER.public_key_base64)
        return verifier.verify(
            request.headers[IDENTITY_HEADER],
            method=request.method,
            path=request.raw_path,
            request_id=request.headers["X-Request-Id"],
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(request)
        return await self.handle(request)


@dataclass(frozen=True)
class Answer:
    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Json:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


@dataclass(frozen=True)
class Gateway:
    port: int
    http: aiohttp.ClientSession
    log: EventLog
    subscriptions: Sequence[Subscription] = ()
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def call(
        self,
        method: str,
        path: str,
        key: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        sent = {**({"Authorization": f"Bearer {key}"} if key else {}), **(headers or {})}
        async with self.http.request(
            method, URL(self.url + path, encoded=True), headers=sent, allow_redirects=False, **options
        ) as response:
            return Answer(response.status, response.reason or "", response.headers.copy(), await response.read())

    async def account(self, name: str = "account") -> "Tenant":
        opened = await self.call("POST", "/api/admin/accounts", ADMIN_KEY, json={"name": name})
        assert opened.status == 201, opened
        account_id = opened.json["account"]["id"]
        key = await self.key(account_id)
        app = await self.call("POST", "/api/agent-apps", key["key"], json={"name": f"app of {name}"})
        assert app.status == 201, app
        return Tenant(UUID(account_id), key["key"], key["id"], app.json["agent_app"]["id"])

    async def key(self, account_id: UUID | str, **wish: Any) -> Json:
        made = await self.call(
            "POST", f"/api/admin/accounts/{account_id}/api-keys", ADMIN_KEY, json={"name": "test", **wish}
        )
        assert made.status == 201, made
        return dict(made.json["api_key"])


@dataclass(frozen=True)
class Tenant:
    account_id: UUID
    key: str
    key_id: str
    app_id: str


async def until(probe: Callable[[], Awaitable[bool]], *, seconds: float = 5.0) -> float:
    """Asks again and again until it is so; how long that took. TimeoutError if it takes longer than `seconds`."""
    began = time.monotonic()
    async with asyncio.timeout(seconds):
        for pause in itertools.repeat(0.02):
            if await probe():
                break
            await asyncio.sleep(pause)
    return time.monotonic() - began


@dataclass(frozen=True)
class Stage:
    database: Database
    packages: Upstream
    deployments: Upstream
    billing: Upstream
    notifier: Upstream
    gateway: Gateway
    until: Callable[..., Awaitable[float]] = until

    @asynccontextmanager
    async def another(self, **settings: Any) -> AsyncIterator[Gateway]:
        """Another process of the gateway, on the same database."""
        upstreams = (self.packages, self.deployments, self.billing, self.notifier)
        async with serving(self.database, upstreams, **settings) as gateway:
            yield gateway


@asynccontextmanager
async def serving(
    database: Database, upstreams: tuple[Upstream, Upstream, Upstream, Upstream], **changes: Any
) -> AsyncIterator[Gateway]:
    packages, deployments, billing, notifier = upstreams
    wanted: dict[str, Any] = {
        "database_url": SecretStr(database.url),
        "admin_key": SecretStr(ADMIN_KEY),
        "key_pepper": SecretStr("pepper-of-the-tests"),
        "identity_key": SecretStr(base64.b64encode(SIGNER.seed).decode()),
        # What `pac up` sets for all: a gateway must not be told by a client who is calling.
        "identity_public_key": SIGNER.public_key_base64,
        "packages_url": packages.url,
        "deployments_url": deployments.url,
        "billing_url": billing.url,
        "runtime_notifier_url": notifier.url,
        "runtimes": "europe",
        "key_use_interval_seconds": 0.05,
        "refused_requests_burst": 100_000,  # the matrix tries a lot
        **changes,
    }
    service = build_service(Settings(**wanted))
    assert service.settings.identity_public_key is None
    async with AsyncExitStack() as stack:
        stack.push_async_callback(service.log.close)
        for resource in service.resources:
            await stack.enter_async_context(resource)
        supervisor = Supervisor(service.metrics)
        supervisor.start(service.readers)
        stack.push_async_callback(supervisor.stop, service.readers, timeout_seconds=1.0)
        stopping = asyncio.Event()
        app = build_http(service.routes, verifier=None, metrics=service.metrics, stopping=stopping)
        listener = Listener(app, drain_seconds=0.2)
        await listener.setup()
        stack.push_async_callback(listener.cleanup)
        port = await listener.listen("127.0.0.1", 0)
        http = await stack.enter_async_context(
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=aiohttp.ClientTimeout(total=60))
        )
        yield Gateway(port, http, service.log, service.subscriptions, stopping)


@asynccontextmanager
async def staged(database: Database) -> AsyncIterator[Stage]:
    packages, deployments, billing, notifier = upstreams = (
        Upstream(ServiceName.PACKAGES),
        Upstream(ServiceName.DEPLOYMENTS),
        Upstream(ServiceName.BILLING),
        Upstream(ServiceName.RUNTIME_NOTIFIER),
    )
    async with AsyncExitStack() as stack:
        for upstream in upstreams:
            await upstream.start()
            stack.push_async_callback(upstream.stop)
        gateway = await stack.enter_async_context(serving(database, upstreams))
        yield Stage(database, packages, deployments, billing, notifier, gateway)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_database(postgres: PostgresServer) -> AsyncIterator[Database]:
    """One for all tests, which see no more of each other than accounts do; lawful at the end."""
    database = await postgres.create("pac.gateway")
    yield database
    assert not await broken_laws(database.superuser_url)
    await postgres.drop(database)


@pytest_asyncio.fixture(loop_scope="session")
async def stage(shared_database: Database) -> AsyncIterator[Stage]:
    async with staged(shared_database) as ready:
        yield ready


@pytest_asyncio.fixture(loop_scope="session")
async def own_stage(database_of: DatabaseOf) -> AsyncIterator[Stage]:
    """With a database that nobody else writes to."""
    async with staged(await database_of("pac.gateway")) as ready:
        yield ready


@dataclass(frozen=True)
class SessionStage:
    """A gateway that serves sessions as well, and who issues them; one for all tests of the matrix."""

    stage: Stage
    gateway: Gateway
    issuer: Issuer


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lasting(shared_database: Database) -> AsyncIterator[SessionStage]:
    async with staged(shared_database) as stage, Issuer().serving() as issuer:
        secret = SecretStr(issuer.secret)
        async with stage.another(supabase_issuer=issuer.url, supabase_jwt_secret=secret) as gateway:
            yield SessionStage(stage, gateway, issuer)
