"""runtime-notifier on a real Postgres, with a scripted runtime; its routes over a real socket."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import UUID, uuid4

import pytest_asyncio
from aiohttp.test_utils import TestClient, TestServer

from pac.contracts.identity import IDENTITY_HEADER, REQUEST_ID_HEADER, AppClaim, Caller
from pac.contracts.topics import ServiceName
from pac.runtime_notifier.app import environment_routes, secrets_routes
from pac.runtime_notifier.layers import LayersApi
from pac.runtime_notifier.logs import Logs, Pace, Seats
from pac.runtime_notifier.secrets.api import Api as SecretsApi
from pac.servicekit.clock import utc_now
from pac.servicekit.http import build_http
from pac.servicekit.idempotency import Idempotency
from pac.servicekit.identity import IdentitySigner, IdentityVerifier
from pac.servicekit.metrics import Metrics
from pac.testkit.notifier import ACCOUNT, MakeNotifier, Notifier, notifier_on
from pac.testkit.postgres import EventLogOf
from pac.testkit.webhooks import Webhooks, webhooks_on

MakeWebhooks = Callable[..., Awaitable[Webhooks]]

SIGNER = IdentitySigner(bytes(range(32)))
ACTOR = "key-8e8f2f9b-14c7-4d6e-b1d3-52a9f0c7e312"


@dataclass
class Served:
    """Calls as the gateway does: with a signed identity, and the path's app as a claim."""

    notifier: Notifier
    http: TestClient[Any, Any]
    metrics: Metrics
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    deploy_policy: Literal["manual", "on_secrets"] = "manual"

    def signed(self, method: str, path: str, account: UUID, app: UUID | None) -> dict[str, str]:
        claim = AppClaim(id=app, deploy_policy=self.deploy_policy) if app is not None else None
        caller = Caller(actor=ACTOR, account_id=account, app=claim)
        request_id, audience = str(uuid4()), ServiceName.RUNTIME_NOTIFIER
        token = SIGNER.sign(caller, audience=audience, method=method, path=path, request_id=request_id)
        return {REQUEST_ID_HEADER: request_id, IDENTITY_HEADER: token}

    async def call(
        self,
        method: str,
        path: str,
        *,
        app: UUID | None = None,
        account: UUID = ACCOUNT,
        headers: Mapping[str, str] | None = None,
        **body: Any,
    ) -> tuple[int, Any]:
        sent = self.signed(method, path, account, app) | dict(headers or {})
        async with self.http.request(method, path, headers=sent, **body) as response:
            is_json = "json" in response.content_type
            return response.status, await response.json() if is_json else await response.text()

    async def secrets(self, method: str, app: UUID, more: str = "", **options: Any) -> tuple[int, Any]:
        return await self.call(method, f"/api/agent-apps/{app}/secrets{more}", app=app, **options)

    async def put(self, app: UUID, name: str, value: str) -> int:
        """The version that it made."""
        status, body = await self.secrets("PUT", app, f"/{name}", json={"value": value})
        assert status == 200, body
        return int(body["version"])


@pytest_asyncio.fixture(loop_scope="session")
async def make_notifier(event_log_of: EventLogOf) -> AsyncIterator[MakeNotifier]:
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Notifier:
            log = await event_log_of(ServiceName.RUNTIME_NOTIFIER)
            return await stack.enter_async_context(notifier_on(log, **options))

        yield make


@pytest_asyncio.fixture(loop_scope="session")
async def notifier(make_notifier: MakeNotifier) -> Notifier:
    return await make_notifier()


@pytest_asyncio.fixture(loop_scope="session")
async def served(make_notifier: MakeNotifier) -> AsyncIterator[Served]:
    notifier = await make_notifier(accepts_environment=True)
    layers = LayersApi(notifier.log, notifier.vault, notifier.courier.runtimes)
    pace = Pace(look_seconds=0.05, heartbeat_seconds=0.2, longest_seconds=20.0)
    logs = Logs(notifier.log, notifier.courier.runtimes, notifier.hiding, Seats(per_account=2), pace)
    metrics, stopping = Metrics(), asyncio.Event()
    app = build_http(
        [*secrets_routes(SecretsApi(notifier.vault, utc_now)), *environment_routes(layers, logs)],
        verifier=IdentityVerifier.from_base64(ServiceName.RUNTIME_NOTIFIER, SIGNER.public_key_base64),
        metrics=metrics,
        stopping=stopping,
        idempotency=Idempotency.of(notifier.log, b"secret of the tests"),
    )
    server = TestServer(app)
    await server.start_server(shutdown_timeout=0.1)  # else a minute for a client that has more to send
    async with TestClient(server) as client:
        yield Served(notifier, client, metrics, stopping)


@pytest_asyncio.fixture(loop_scope="session")
async def make_webhooks(event_log_of: EventLogOf) -> AsyncIterator[MakeWebhooks]:
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Webhooks:
            log = await event_log_of(ServiceName.RUNTIME_NOTIFIER)
            return await stack.enter_async_context(webhooks_on(log, **options))

        yield make


@pytest_asyncio.fixture(loop_scope="session")
async def webhooks(make_webhooks: MakeWebhooks) -> Webhooks:
    return await make_webhooks()
