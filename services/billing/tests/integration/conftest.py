"""Billing on a real Postgres; the laws of money are checked after every test."""

import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest_asyncio

from pac.billing.accounts import Accounts
from pac.billing.consumers import Consumers
from pac.billing.queries import Queries
from pac.contracts.base import Event, Outcome, Source, Step
from pac.contracts.deployments import DeploymentAborted, DeploymentQueued, StepStarted
from pac.contracts.envelope import Envelope
from pac.contracts.gateway import AccountOpened
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Message
from pac.testkit.ledger import money_holds
from pac.testkit.postgres import DatabaseOf, EventLogOf

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
MIB = 1_048_576
SIGN_UP_CREDITS = 10


@dataclass
class Billing:
    """The service without its sockets: what it hears comes as messages, as the Kafka wrapper would hand them on."""

    log: EventLog
    consumers: Consumers
    queries: Queries
    versions: dict[str, Iterator[int]] = field(default_factory=dict)

    def message(self, source: str, stream: str, event: Event) -> Message[Any]:
        version = next(self.versions.setdefault(stream, itertools.count(1)))
        told = Envelope(uuid4(), source, stream, version, event, "key-1", uuid4())
        return Message("billing", told)

    async def open_account(self, account_id: UUID) -> None:
        event = AccountOpened(account_id=account_id, at=NOON)
        await self.consumers.on_gateway_event(self.message("gateway", f"account-{account_id}", event))

    def queued(self, account_id: UUID, deployment_id: UUID, mebibytes: int = 1, **fields: Any) -> Message[Any]:
        facts: dict[str, Any] = {"source": Source.UPLOAD, "billable": True} | fields
        event = DeploymentQueued(
            account_id=account_id,
            at=NOON,
            deployment_id=deployment_id,
            agent_app_id=uuid4(),
            package_id=uuid4(),
            package_version="1.0.0",
            sha256="0" * 64,
            size_bytes=mebibytes * MIB,
            object_key="x",
            no=1,
            **facts,
        )
        return self.message("deployments", f"deployment-{deployment_id}", event)

    def finalizing(self, account_id: UUID, deployment_id: UUID, attempt: int = 1) -> Message[Any]:
        event = StepStarted(
            account_id=account_id,
            at=NOON,
            deployment_id=deployment_id,
            step=Step.FINALIZE,
            attempt=attempt,
            due_at=NOON,
            agent_app_id=uuid4(),
            package_id=uuid4(),
            package_version="1.0.0",
            sha256="0" * 64,
            size_bytes=MIB,
            object_key="x",
            release=1,
        )
        return self.message("deployments", f"deployment-{deployment_id}", event)

    def aborted(self, account_id: UUID, deployment_id: UUID) -> Message[Any]:
        event = DeploymentAborted(
            account_id=account_id,
            at=NOON,
            deployment_id=deployment_id,
            agent_app_id=uuid4(),
            package_id=uuid4(),
            outcome=Outcome.CANCELLED,
            code="cancelled",
            error="Cancelled",
            due_at=NOON,
        )
        return self.message("deployments", f"deployment-{deployment_id}", event)

    async def hear(self, message: Message[Any]) -> None:
        await self.consumers.on_deployments_event(message)

    async def said(self, deployment_id: UUID) -> list[str]:
        return [told.event.type for told in await self.log.history(f"hold-{deployment_id}")]


@pytest_asyncio.fixture(loop_scope="session")
async def billing(database_of: DatabaseOf, event_log_of: EventLogOf) -> AsyncIterator[Billing]:
    database = await database_of("pac.billing")
    log = await event_log_of(ServiceName.BILLING, database=database)
    accounts = Accounts()
    yield Billing(log, Consumers(log, accounts, SIGN_UP_CREDITS), Queries(log.engine))
    await money_holds(database.url)
