"""Five logs without processes: billing and the hub are real, packages and runtime-notifier say what is due."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from pac.billing.accounts import Accounts
from pac.billing.consumers import Consumers as BillingConsumers
from pac.contracts.base import Event, Source, Step
from pac.contracts.deployments import DeploymentAborted, StepStarted
from pac.contracts.envelope import Envelope
from pac.contracts.gateway import AccountOpened
from pac.contracts.packages import (
    PackageDescribed,
    PackageStored,
    PackageSubmitted,
    PackageValidated,
    PackageWithdrawn,
)
from pac.contracts.runtime_notifier import RuntimeReady
from pac.contracts.topics import ServiceName
from pac.deployments.consumers import Consumers as HubConsumers
from pac.deployments.domain import CancelDeployment, CheckDeadline, Policy, decider
from pac.deployments.projections import Deployments
from pac.deployments.queue import Queue
from pac.deployments.slots import Dispatcher, Limits
from pac.eventlog import AlreadySeen, Cause, EventLog, Message, Position, Projector, TooEarly
from pac.testkit.postgres import Database, EventLogOf
from pac.testkit.whole import BILLING, DEPLOYMENTS, GATEWAY, HEARS, NOTIFIER, PACKAGES

ME = Cause("key-1", UUID(int=7))
SENT = """
INSERT INTO log.checkpoints (reader, xid, position) SELECT 'relay', xid, position FROM log.events
ORDER BY xid DESC, position DESC LIMIT 1
ON CONFLICT (reader) DO UPDATE SET xid = excluded.xid, position = excluded.position
"""
Hear = Callable[[Message[Any]], Awaitable[None]]


@dataclass
class Between:
    logs: dict[ServiceName, EventLog]
    account: UUID = field(default_factory=uuid4)
    app: UUID = field(default_factory=uuid4)
    deployment: UUID = field(default_factory=uuid4)
    package: UUID = field(default_factory=uuid4)
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    policy: Policy = field(default_factory=Policy)
    packages_answers: bool = True
    heard_to: dict[tuple[ServiceName, ServiceName], Position] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hub, self.queue = decider(self.policy), Queue()
        hub = HubConsumers(self.logs[DEPLOYMENTS], self.hub, self.queue, lambda: self.now)
        billing = BillingConsumers(self.logs[BILLING], Accounts(), 10)
        self.hear: dict[tuple[ServiceName, ServiceName], Hear] = {
            (DEPLOYMENTS, GATEWAY): hub.on_gateway_event,
            (DEPLOYMENTS, PACKAGES): hub.on_package_event,
            (DEPLOYMENTS, BILLING): hub.on_billing_event,
            (DEPLOYMENTS, NOTIFIER): hub.on_runtime_event,
            (BILLING, GATEWAY): billing.on_gateway_event,
            (BILLING, DEPLOYMENTS): billing.on_deployments_event,
            (PACKAGES, DEPLOYMENTS): self._on_packages,
            (NOTIFIER, DEPLOYMENTS): self._on_notifier,
        }

    @property
    def ids(self) -> dict[str, Any]:
        return {"account_id": self.account, "at": self.now, "deployment_id": self.deployment}

    async def say(self, service: ServiceName, stream: str, *events: Event) -> None:
        log = self.logs[service]
        before = await log.history(stream)
        async with log.transaction(stream, cause=ME) as tx:
            await tx.append(stream, events, expected_version=len(before))

    async def submit(self) -> None:
        await self.say(GATEWAY, f"account-{self.account}", AccountOpened(account_id=self.account, at=self.now))
        submitted = PackageSubmitted(
            **self.ids,
            package_id=self.package,
            agent_app_id=self.app,
            package_version="1.0.0",
            sha256="a" * 64,
            size_bytes=1,
            object_key="staging/1",
            source=Source.UPLOAD,
            no=1,
        )
        await self.say(PACKAGES, f"submission-{self.deployment}", submitted)

    async def cancel(self) -> None:
        await self._tell_hub(CancelDeployment(self.deployment, self.now))

    async def clock_strikes(self) -> None:
        await self._tell_hub(CheckDeadline(self.deployment, self.now))

    async def types(self, service: ServiceName, kind: str) -> list[str]:
        return [each.event.type for each in await self.logs[service].history(f"{kind}-{self.deployment}")]

    async def flow(self) -> None:
        """Until nobody hears anything new. Relays and projection stand at the end then."""
        dispatcher = Dispatcher(self.logs[DEPLOYMENTS], self.hub, self.queue, Limits(), lambda: self.now)
        while await self._pass():
            await dispatcher.dispatch()
        projector = Projector(self.logs[DEPLOYMENTS], Deployments())
        while await projector.step():
            pass
        for log in self.logs.values():
            async with log.engine.begin() as connection:
                await connection.exec_driver_sql(SENT)

    async def _tell_hub(self, command: CancelDeployment | CheckDeadline) -> None:
        log = self.logs[DEPLOYMENTS]
        await log.execute(self.hub, self.deployment, command, cause=ME, then=self.queue.record)

    async def _pass(self) -> bool:
        moved = False
        for consumer, sources in HEARS.items():
            for source in sources:
                moved |= await self._listen(consumer, source)
        return moved

    async def _listen(self, consumer: ServiceName, source: ServiceName) -> bool:
        """From behind what was heard without a gap."""
        moved = behind = False
        heard_to = self.heard_to.get((consumer, source), Position())
        for position, envelope in await self.logs[source].read(heard_to, 10_000):
            moved |= await self._hears(consumer, source, envelope)
            inbox = await self.logs[consumer].inbox(consumer.value, source.value, envelope.stream)
            behind = behind or inbox < envelope.version
            if not behind:
                self.heard_to[consumer, source] = position
        return moved

    async def _hears(self, consumer: ServiceName, source: ServiceName, envelope: Envelope[Event]) -> bool:
        message, log = Message(consumer.value, envelope), self.logs[consumer]
        if await log.inbox(consumer.value, source.value, envelope.stream) >= envelope.version:
            return False
        with suppress(TooEarly, AlreadySeen):
            if (hear := self.hear.get((consumer, source))) is not None:
                await hear(message)
            await log.advance(message)
            return True
        return False

    async def _on_packages(self, message: Message[Any]) -> None:
        event = message.event
        if not self.packages_answers or not isinstance(event, StepStarted | DeploymentAborted):
            return
        stream, mine = f"submission-{event.deployment_id}", dict[str, Any](at=self.now)
        mine |= {name: getattr(event, name) for name in ("account_id", "deployment_id", "package_id")}
        match event:
            case StepStarted(step=Step.VALIDATE_PACKAGE, attempt=attempt):
                await self.say(PACKAGES, stream, PackageValidated(**mine, attempt=attempt))
            case StepStarted(step=Step.UPLOAD_TO_S3, attempt=attempt):
                await self.say(PACKAGES, stream, PackageStored(**mine, attempt=attempt, object_key="packages/a"))
            case StepStarted(step=Step.GENERATE_METADATA, attempt=attempt):
                await self.say(PACKAGES, stream, PackageDescribed(**mine, attempt=attempt))
            case DeploymentAborted():
                await self.say(PACKAGES, stream, PackageWithdrawn(**mine, freed=True))
            case _:
                pass

    async def _on_notifier(self, message: Message[Any]) -> None:
        match message.event:
            case StepStarted(step=Step.NOTIFY_RUNTIME, attempt=attempt):
                ready = RuntimeReady(**self.ids, agent_app_id=self.app, attempt=attempt)
                await self.say(NOTIFIER, f"delivery-{self.deployment}", ready)
            case _:
                pass


async def between(log_of: EventLogOf, databases: dict[ServiceName, Database], **more: Any) -> Between:
    logs = await asyncio.gather(*(log_of(one, database=database) for one, database in databases.items()))
    return Between(dict(zip(databases, logs, strict=True)), **more)
