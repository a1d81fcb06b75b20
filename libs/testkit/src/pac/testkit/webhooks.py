"""A driver of webhooks: their parts on a real Postgres, their API over HTTP, and what the hub says as messages."""

import asyncio
import base64
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from aiohttp import ClientSession
from prometheus_client import CollectorRegistry
from sqlalchemy import text

from pac.contracts.base import Event, Source
from pac.contracts.deployments import (
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentFailed,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentStarted,
)
from pac.contracts.envelope import Envelope
from pac.contracts.gateway import AgentAppCreated, AgentAppDeleted
from pac.contracts.identity import IDENTITY_HEADER, REQUEST_ID_HEADER, Caller
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Jobs, Message, Worker
from pac.runtime_notifier.consumers import Consumers
from pac.runtime_notifier.errands import QUEUE as RUNTIME_QUEUE
from pac.runtime_notifier.fleet import Fleet
from pac.runtime_notifier.secrets.envelope import KeyRing
from pac.runtime_notifier.webhooks.api import Limits, WebhooksApi
from pac.runtime_notifier.webhooks.deliverer import Deliverer, Figures
from pac.runtime_notifier.webhooks.outbox import Outbox
from pac.runtime_notifier.webhooks.queries import Queries
from pac.runtime_notifier.webhooks.rules import Policy
from pac.runtime_notifier.webhooks.seals import Seals
from pac.servicekit.clock import utc_now
from pac.servicekit.destinations import Rules, networks_in
from pac.servicekit.http import build_http
from pac.servicekit.idempotency import Idempotency
from pac.servicekit.identity import IdentityVerifier
from pac.servicekit.listener import Listener
from pac.servicekit.metrics import Metrics
from pac.servicekit.outgoing import Outgoing
from pac.testkit.receiver import Receiver
from pac.testkit.service import SIGNER, Answer, caller

NOTIFIER = ServiceName.RUNTIME_NOTIFIER
HERE = Rules(networks_in("127.0.0.0/8"))
QUICK = Policy(
    retry_seconds=(0.02,) * 50,
    circuit_failures=1000,
    pause_seconds=0.05,
    longest_pause_seconds=0.1,
    disable_seconds=3600.0,
    retry_after_max_seconds=30.0,
)
READABLE = """
SELECT schemaname || '.' || tablename FROM pg_tables
WHERE schemaname IN ('log', 'state') AND has_table_privilege(schemaname || '.' || tablename, 'SELECT')
"""


RING = KeyRing.from_base64(base64.b64encode(bytes(range(32))).decode())


@dataclass(frozen=True)
class Tenant:
    """An app of an account."""

    account_id: UUID = field(default_factory=uuid4)
    app_id: UUID = field(default_factory=uuid4)

    @property
    def path(self) -> str:
        return f"/api/agent-apps/{self.app_id}/webhooks"

    def caller(self) -> Caller:
        return caller(self.account_id, app=self.app_id)

    def neighbour(self) -> "Tenant":
        """Another app of the same account."""
        return Tenant(self.account_id)


@dataclass
class Webhooks:
    """One process of runtime-notifier, as far as webhooks go; `work` starts its worker."""

    log: EventLog
    outbox: Outbox
    consumers: Consumers
    deliverer: Deliverer
    port: int
    http: ClientSession
    workers: list[asyncio.Task[None]] = field(default_factory=list)
    versions: dict[str, Iterator[int]] = field(default_factory=dict)

    # ---- the process ---------------------------------------------------------------------------------------------

    def work(self, *, parallel: int = 16, lease_seconds: float = 2.0, **changes: Any) -> asyncio.Task[None]:
        """A worker more, of a deliverer with these changes."""
        deliverer = replace(self.deliverer, **changes)
        worker = Worker(self.outbox.jobs, deliverer.handle, parallel=parallel, lease_seconds=lease_seconds)
        self.workers.append(asyncio.create_task(worker.run()))
        return self.workers[-1]

    async def rest(self) -> None:
        for task in self.workers:
            task.cancel()
        await asyncio.gather(*self.workers, return_exceptions=True)
        self.workers.clear()

    # ---- its API -------------------------------------------------------------------------------------------------

    async def call(
        self,
        method: str,
        path: str,
        who: Caller,
        json: Any = None,
        headers: dict[str, str] | None = None,
    ) -> Answer:
        request_id = str(uuid4())
        token = SIGNER.sign(who, audience=NOTIFIER, method=method, path=path, request_id=request_id)
        sent = {REQUEST_ID_HEADER: request_id, IDENTITY_HEADER: token, **(headers or {})}
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.http.request(method, url, json=json, headers=sent) as response:
            body = await response.json(content_type=None)
            return Answer(response.status, response.reason or "", response.headers.copy(), body)

    async def register(self, tenant: Tenant, receiver: Receiver, **wish: Any) -> UUID:
        """The id; the receiver knows its secret from then on."""
        answer = await self.call("POST", tenant.path, tenant.caller(), {"url": receiver.url, **wish})
        assert answer.status == 201, answer
        receiver.secrets.append(answer.body["webhook"]["secret"])
        return UUID(answer.body["webhook"]["id"])

    async def post(self, tenant: Tenant, webhook_id: UUID, action: str, body: Any = None, status: int = 202) -> Any:
        answer = await self.call("POST", f"{tenant.path}/{webhook_id}/{action}", tenant.caller(), body)
        assert answer.status == status, answer
        return answer.body

    async def shown(self, tenant: Tenant, webhook_id: UUID) -> dict[str, Any]:
        answer = await self.call("GET", f"{tenant.path}/{webhook_id}", tenant.caller())
        assert answer.status == 200, answer
        return dict(answer.body["webhook"])

    async def attempts(self, tenant: Tenant, webhook_id: UUID) -> list[dict[str, Any]]:
        """All of them, the newest first, read in pages."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            path = f"{tenant.path}/{webhook_id}/attempts?limit=7&cursor={cursor}"
            answer = await self.call("GET", path, tenant.caller())
            assert answer.status == 200, answer
            found += answer.body["attempts"]
            if (cursor := answer.body["next_cursor"]) is None:
                return found

    # ---- what it hears -------------------------------------------------------------------------------------------

    def message(self, source: str, stream: str, event: Event) -> Message[Any]:
        version = next(self.versions.setdefault(stream, itertools.count(1)))
        return Message(NOTIFIER.value, Envelope(uuid4(), source, stream, version, event, "key-1", uuid4()))

    async def hear(self, event: Any) -> Message[Any]:
        message = self.message("deployments", f"deployment-{event.deployment_id}", event)
        await self.consumers.on_deployments_event(message)
        return message

    async def create_app(self, tenant: Tenant) -> None:
        event = AgentAppCreated(account_id=tenant.account_id, at=utc_now(), agent_app_id=tenant.app_id)
        await self.consumers.on_gateway_event(self.message("gateway", f"app-{tenant.app_id}", event))

    async def delete_app(self, tenant: Tenant) -> None:
        event = AgentAppDeleted(account_id=tenant.account_id, at=utc_now(), agent_app_id=tenant.app_id)
        await self.consumers.on_gateway_event(self.message("gateway", f"app-{tenant.app_id}", event))

    async def deployed(self, tenant: Tenant, deployment_id: UUID | None = None) -> UUID:
        """A deployment that is queued, started and completed."""
        deployment_id = deployment_id or uuid4()
        for event in (queued(tenant, deployment_id), started(tenant, deployment_id), completed(tenant, deployment_id)):
            await self.hear(event)
        return deployment_id

    # ---- what came of it -----------------------------------------------------------------------------------------

    async def said(self, webhook_id: UUID) -> list[str]:
        return [told.event.type for told in await self.log.history(f"webhook-{webhook_id}")]

    async def is_done(self) -> bool:
        return await self.outbox.jobs.count() == 0

    async def everything_written(self) -> str:
        """Every text that the database holds."""
        async with self.log.reading() as connection:
            tables = await connection.execute(text(READABLE))
            found = []
            for (table,) in tables.all():
                rows = await connection.execute(text(f"SELECT t::text FROM {table} t"))  # noqa: S608 - the server's own names
                found += [row[0] for row in rows]
        return "\n".join(found)


@asynccontextmanager
async def webhooks_on(
    log: EventLog, *, policy: Policy = QUICK, timeout_seconds: float = 2.0, **limits: Any
) -> AsyncIterator[Webhooks]:
    """With its API served and no worker yet; `limits` by field name."""
    outbox, seals = Outbox.of(log), Seals.of_ring(RING)
    limited = Limits(**{"webhooks_per_app": 20, "rotation_seconds": 3600.0, "settle_seconds": 5.0, **limits})
    api = WebhooksApi(log, outbox, Queries(log), seals, HERE, limited, utc_now)
    verifier = IdentityVerifier.from_base64(NOTIFIER, SIGNER.public_key_base64)
    async with AsyncExitStack() as stack:
        outgoing = await stack.enter_async_context(
            Outgoing(HERE, timeout_seconds=timeout_seconds, answer_max_bytes=65_536)
        )
        deliverer = Deliverer(log, outbox, outgoing, seals, policy, 4, Figures(CollectorRegistry()), utc_now)
        app = build_http(
            api.routes(),
            verifier=verifier,
            metrics=Metrics(),
            stopping=asyncio.Event(),
            idempotency=Idempotency.of(log, b"of the tests"),
        )
        listener = Listener(app, drain_seconds=0.2)
        await listener.setup()
        stack.push_async_callback(listener.cleanup)
        port = await listener.listen("127.0.0.1", 0)
        http = await stack.enter_async_context(ClientSession())
        consumers = Consumers(log, Fleet(Jobs(log, RUNTIME_QUEUE), again_seconds=30.0), outbox)
        webhooks = Webhooks(log, outbox, consumers, deliverer, port, http)
        stack.push_async_callback(webhooks.rest)
        yield webhooks


def _facts(tenant: Tenant, deployment_id: UUID) -> dict[str, Any]:
    return {
        "account_id": tenant.account_id,
        "at": datetime.now(UTC),
        "deployment_id": deployment_id,
        "agent_app_id": tenant.app_id,
    }


def _package(deployment_id: UUID) -> dict[str, Any]:
    return {
        "package_id": deployment_id,
        "package_version": "1.0.0",
        "sha256": "0" * 64,
        "size_bytes": 1,
        "object_key": f"packages/{deployment_id}.apkg",
    }


def queued(tenant: Tenant, deployment_id: UUID) -> DeploymentQueued:
    facts = {**_facts(tenant, deployment_id), **_package(deployment_id)}
    return DeploymentQueued(**facts, source=Source.UPLOAD, billable=True, no=1)


def started(tenant: Tenant, deployment_id: UUID) -> DeploymentStarted:
    return DeploymentStarted(**_facts(tenant, deployment_id), release=1)


def completed(tenant: Tenant, deployment_id: UUID) -> DeploymentCompleted:
    return DeploymentCompleted(**_facts(tenant, deployment_id), **_package(deployment_id), release=1, no=1)


def failed(tenant: Tenant, deployment_id: UUID) -> DeploymentFailed:
    facts = {**_facts(tenant, deployment_id), "package_id": deployment_id}
    return DeploymentFailed(**facts, code="runtime_failed", error="Runtime answered 500")


def cancelled(tenant: Tenant, deployment_id: UUID) -> DeploymentCancelled:
    facts = {**_facts(tenant, deployment_id), "package_id": deployment_id}
    return DeploymentCancelled(**facts, code="cancelled", error="Deployment was cancelled")


def rejected(tenant: Tenant, deployment_id: UUID) -> DeploymentRejected:
    facts = {**_facts(tenant, deployment_id), "package_id": deployment_id}
    return DeploymentRejected(
        **facts, code="insufficient_credits", error="Insufficient credits", required=5, available=3
    )
