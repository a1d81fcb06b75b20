"""The routes of the hub over HTTP, with a caller's signed identity, on a real log."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from pac.contracts.identity import IDENTITY_HEADER, REQUEST_ID_HEADER, AppClaim, Caller, Scope
from pac.contracts.topics import ServiceName
from pac.deployments.api import Api, StatsCache
from pac.deployments.app import routes_of
from pac.deployments.apps import Apps
from pac.deployments.events import Events
from pac.deployments.followers import Followers
from pac.deployments.history import History
from pac.deployments.projections import Deployments
from pac.deployments.queries import Queries, Thresholds
from pac.servicekit.http import build_http
from pac.servicekit.idempotency import Idempotency
from pac.servicekit.identity import IdentitySigner, IdentityVerifier
from pac.servicekit.metrics import Metrics
from pac.servicekit.supervision import end

from .hub import Hub

Json = dict[str, Any]


@dataclass
class Served:
    hub: Hub
    client: Any
    signer: IdentitySigner
    followers: Followers
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def signed(self, method: str, path: str, account: UUID | None, app: UUID | None = None) -> dict[str, str]:
        if account is None:
            return {}
        about = None if app is None else AppClaim(id=app, signature_policy="optional")
        caller = Caller(actor="key-1", account_id=account, scopes=frozenset({Scope.READ, Scope.DEPLOY}), app=about)
        request_id, audience = str(uuid4()), ServiceName.DEPLOYMENTS
        token = self.signer.sign(caller, audience=audience, method=method, path=path, request_id=request_id)
        return {REQUEST_ID_HEADER: request_id, IDENTITY_HEADER: token}

    async def call(
        self,
        method: str,
        path: str,
        account: UUID | None = None,
        *,
        app: UUID | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> tuple[int, Json, Any]:
        sent = self.signed(method, path, account, app) | dict(headers or {})
        async with self.client.request(method, path, headers=sent, **more) as response:
            body = await response.read()
            return response.status, json.loads(body) if body else {}, response.headers

    async def raw(self, path: str, account: UUID) -> tuple[int, bytes, str]:
        async with self.client.get(path, headers=self.signed("GET", path, account)) as response:
            return response.status, await response.read(), response.headers.get("ETag", "")

    async def get(self, path: str, account: UUID | None = None, **headers: str) -> tuple[int, Json, Any]:
        return await self.call("GET", path, account, headers=headers)

    async def post(self, path: str, account: UUID | None = None, **more: Any) -> tuple[int, Json, Any]:
        return await self.call("POST", path, account, **more)

    @asynccontextmanager
    async def stream(
        self, deployment_id: UUID, account: UUID, last: str | None = None, query: str = ""
    ) -> AsyncIterator[ClientResponse]:
        path = f"/api/deployments/{deployment_id}/events{query}"
        headers = self.signed("GET", path, account) | {"Accept": "text/event-stream"}
        if last is not None:
            headers["Last-Event-ID"] = last
        async with self.client.get(path, headers=headers) as response:
            yield response


@asynccontextmanager
async def serving(
    hub: Hub, seconds: float = 0.0, *, per_account: int = 20, heartbeat_seconds: float = 15.0
) -> AsyncIterator[Served]:
    signer, stopping = IdentitySigner(b"s" * 32), asyncio.Event()
    queries = Queries(hub.log, Thresholds(), hub.limits.per_account, Deployments().name)
    history = History(hub.log, hub.decider)
    api = Api(hub.log, hub.decider, hub.queue, history, queries, StatsCache(queries, hub.clock, seconds), hub.clock)
    followers = Followers(hub.log, per_account)
    events = Events(history, followers, heartbeat_seconds)
    verifier = IdentityVerifier.from_base64(ServiceName.DEPLOYMENTS, signer.public_key_base64)
    app = build_http(
        routes_of(api, events, Apps(hub.log, hub.queue, hub.clock)),
        verifier=verifier,
        metrics=Metrics(),
        stopping=stopping,
        idempotency=Idempotency.of(hub.log, b"secret of the tests"),
    )
    async with AsyncExitStack() as stack:
        stack.push_async_callback(end, asyncio.create_task(followers.run()))
        client = await stack.enter_async_context(TestClient(TestServer(app)))
        yield Served(hub, client, signer, followers, stopping)


@dataclass(frozen=True)
class Said:
    """One event of a stream, as a browser would read it."""

    id: str
    type: str
    data: Json


async def said(response: ClientResponse) -> AsyncIterator[Said]:
    """Only whole events: what ends with an empty line."""
    fields: dict[str, str] = {}
    async for raw in response.content:
        line = raw.decode().rstrip("\n")
        if not line and "data" in fields:
            yield Said(fields["id"], fields["event"], json.loads(fields["data"]))
        name, colon, value = line.partition(": ")
        fields = {**fields, name: value} if colon and name else ({} if not line else fields)


async def project(hub: Hub) -> None:
    async with hub.log.engine.begin() as connection:
        await Deployments().apply(connection, await hub.events())
