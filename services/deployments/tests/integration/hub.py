"""The hub on a real log, and its neighbours as the events they would say."""

import asyncio
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import text

from pac.contracts.base import Event, Source, Step
from pac.contracts.billing import CreditsCaptured, CreditsRefused, CreditsReleased, CreditsReserved
from pac.contracts.deployments import DeploymentEvent
from pac.contracts.envelope import Envelope
from pac.contracts.gateway import AgentAppDeleted
from pac.contracts.packages import (
    PackageDescribed,
    PackageRejected,
    PackageStored,
    PackageSubmitted,
    PackageValidated,
    PackageWithdrawn,
    Problem,
)
from pac.contracts.runtime_notifier import RuntimeReady
from pac.contracts.topics import ServiceName
from pac.deployments.consumers import Consumers
from pac.deployments.domain import CancelDeployment, Command, Deployment, Policy, decider
from pac.deployments.queue import Queue, row_of
from pac.deployments.slots import Dispatcher, Limits
from pac.deployments.sweeper import Sweeper
from pac.eventlog import Cause, Decider, EventLog, Message, Placed, Position

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
SHA256 = "a" * 64


@dataclass
class CaughtUp:
    yes: bool = True

    def caught_up(self) -> bool:
        return self.yes


@dataclass
class Hub:
    log: EventLog
    limits: Limits = field(default_factory=Limits)
    policy: Policy = field(default_factory=Policy)
    now: datetime = NOON
    hearing: CaughtUp = field(default_factory=CaughtUp)
    queue: Queue = field(default_factory=Queue)
    versions: Counter[str] = field(default_factory=Counter)
    numbers: Counter[UUID] = field(default_factory=Counter)
    owners: dict[UUID, UUID] = field(default_factory=dict)
    apps: dict[UUID, UUID] = field(default_factory=dict)

    @property
    def decider(self) -> Decider[Deployment, Command, DeploymentEvent]:
        return decider(self.policy)

    def clock(self) -> datetime:
        return self.now

    @property
    def consumers(self) -> Consumers:
        return Consumers(self.log, self.decider, self.queue, self.clock)

    def dispatcher(self, log: EventLog | None = None) -> Dispatcher:
        return Dispatcher(log or self.log, self.decider, self.queue, self.limits, self.clock)

    @property
    def sweeper(self) -> Sweeper:
        return Sweeper(self.log, self.decider, self.queue, self.hearing, self.clock)

    # ---- the neighbours

    def message(self, source: ServiceName, stream: str, event: Event) -> Message[Any]:
        self.versions[stream] += 1
        return Message(
            "deployments", Envelope(uuid4(), source.value, stream, self.versions[stream], event, "key-1", uuid4())
        )

    async def says(self, event: Event) -> Message[Any]:
        """A neighbour says it and the hub hears it."""
        deployment_id = getattr(event, "deployment_id", None)
        match event:
            case CreditsReserved() | CreditsRefused() | CreditsCaptured() | CreditsReleased():
                message = self.message(ServiceName.BILLING, f"hold-{deployment_id}", event)
                await self.consumers.on_billing_event(message)
            case RuntimeReady():
                message = self.message(ServiceName.RUNTIME_NOTIFIER, f"delivery-{deployment_id}", event)
                await self.consumers.on_runtime_event(message)
            case AgentAppDeleted(agent_app_id=app):
                message = self.message(ServiceName.GATEWAY, f"app-{app}", event)
                await self.consumers.on_gateway_event(message)
            case _:
                message = self.message(ServiceName.PACKAGES, f"submission-{deployment_id}", event)
                await self.consumers.on_package_event(message)
        return message

    async def submitted(
        self,
        account: UUID,
        app: UUID,
        *,
        at: datetime | None = None,
        no: int | None = None,
        source: Source = Source.UPLOAD,
        **more: Any,
    ) -> UUID:
        self.numbers[app] += 1
        deployment_id = uuid4()
        self.owners[deployment_id], self.apps[deployment_id] = account, app
        await self.says(
            PackageSubmitted(
                deployment_id=deployment_id,
                account_id=account,
                at=at or self.now,
                package_id=uuid4(),
                agent_app_id=app,
                package_version="1.2.0",
                sha256=SHA256,
                size_bytes=2048000,
                object_key="staging/1",
                source=source,
                no=no or self.numbers[app],
                **more,
            )
        )
        return deployment_id

    async def held(self, account: UUID, app: UUID, **more: Any) -> UUID:
        deployment_id = await self.submitted(account, app, **more)
        await self.reserved(deployment_id)
        return deployment_id

    async def reserved(self, deployment_id: UUID) -> None:
        await self.says(CreditsReserved(**self.ids(deployment_id), amount=2))

    def ids(self, deployment_id: UUID) -> dict[str, Any]:
        return {"deployment_id": deployment_id, "account_id": self.owners[deployment_id], "at": self.now}

    async def answered(self, deployment_id: UUID, step: Step, attempt: int = 1) -> None:
        ids, package = self.ids(deployment_id), uuid4()
        match step:
            case Step.VALIDATE_PACKAGE:
                await self.says(PackageValidated(**ids, package_id=package, attempt=attempt))
            case Step.UPLOAD_TO_S3:
                await self.says(PackageStored(**ids, package_id=package, attempt=attempt, object_key="sha256/aa"))
            case Step.GENERATE_METADATA:
                await self.says(PackageDescribed(**ids, package_id=package, attempt=attempt))
            case Step.NOTIFY_RUNTIME:
                await self.says(RuntimeReady(**ids, agent_app_id=self.apps[deployment_id], attempt=attempt))
            case Step.FINALIZE:
                source = (await self.state(deployment_id)).submission.source
                amount = 0 if source is Source.ROLLBACK else 2
                await self.says(CreditsCaptured(**ids, amount=amount, attempt=attempt))

    async def completed(self, deployment_id: UUID) -> None:
        """Of one that has started: every neighbour answers what is left."""
        current = (await self.state(deployment_id)).step
        assert current is not None
        for step in list(Step)[list(Step).index(current) :]:
            await self.answered(deployment_id, step)

    async def rejected(self, deployment_id: UUID) -> None:
        problems = tuple(
            Problem(code="x", message=message) for message in ("Invalid APKG format", "Missing required manifest.json")
        )
        ids = self.ids(deployment_id)
        await self.says(PackageRejected(**ids, package_id=uuid4(), attempt=1, problems=problems))

    async def settled(self, deployment_id: UUID) -> None:
        ids = self.ids(deployment_id)
        await self.says(PackageWithdrawn(**ids, package_id=uuid4(), freed=True))
        await self.says(CreditsReleased(**ids, amount=2))

    async def cancelled(self, deployment_id: UUID) -> None:
        await self.log.execute(
            self.decider,
            deployment_id,
            CancelDeployment(deployment_id, self.now),
            cause=Cause("key-1", uuid4()),
            then=self.queue.record,
        )

    async def app_deleted(self, account: UUID, app: UUID) -> None:
        await self.says(AgentAppDeleted(account_id=account, at=self.now, agent_app_id=app))

    # ---- looking

    async def state(self, deployment_id: UUID) -> Deployment:
        return (await self.log.load(self.decider, deployment_id)).state

    async def types(self, deployment_id: UUID) -> list[str]:
        return [each.event.type for each in await self.log.history(f"deployment-{deployment_id}")]

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        async with self.log.reading() as connection:
            return [dict(row) for row in (await connection.execute(text(statement))).mappings()]

    async def with_slot(self) -> set[UUID]:
        found = await self.rows("SELECT deployment_id FROM state.queue WHERE status IN ('processing', 'finalizing')")
        return {row["deployment_id"] for row in found}

    async def events(self) -> list[Placed]:
        events, _ = await self.log.events(Position(), 100_000)
        return events

    async def check_queue(self) -> None:
        """state.queue says exactly what the fold of every stream says."""
        streams = defaultdict[str, list[DeploymentEvent]](list)
        for placed in await self.events():
            if placed.stream.startswith("deployment-"):
                streams[placed.stream].append(placed.event)  # type: ignore[arg-type] # by its stream
        folds = [self.decider.fold(events) for events in streams.values()]
        expected = {fold.submission.deployment_id: row_of(fold) for fold in folds if fold.ended_at is None}
        found = {
            row["deployment_id"]: {key: value for key, value in row.items() if key in row_of(folds[0])}
            for row in await self.rows("SELECT * FROM state.queue")
        }
        assert found == expected


async def race(*dispatchers: Dispatcher) -> None:
    await asyncio.gather(*(each.dispatch() for each in dispatchers))


def later(hub: Hub, **after: float) -> None:
    hub.now += timedelta(**after)
