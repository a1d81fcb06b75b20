"""What the notifier does when it hears of apps and deployments: it keeps the books and queues the work and the news."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never
from uuid import UUID

import structlog

from pac.contracts.base import Step
from pac.contracts.deployments import (
    AppPinned,
    AppReleased,
    AppStopped,
    DeploymentAborted,
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentFailed,
    DeploymentFunded,
    DeploymentPartSettled,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentsEvent,
    DeploymentStarted,
    StepCompleted,
    StepFailed,
    StepResumed,
    StepStarted,
    StepWaiting,
)
from pac.contracts.gateway import (
    AccountOpened,
    AccountResumed,
    AccountSuspended,
    AgentAppChanged,
    AgentAppCreated,
    AgentAppDeleted,
    ApiKeyCreated,
    ApiKeyRevoked,
    GatewayEvent,
    MemberAdded,
    MemberChanged,
    MemberRemoved,
)
from pac.eventlog import EventLog, Message, TooEarly, Transaction
from pac.runtime_notifier import running
from pac.runtime_notifier.errands import Facts
from pac.runtime_notifier.fleet import Fleet, lock_of
from pac.runtime_notifier.running import App
from pac.runtime_notifier.webhooks.notices import Noticed, notice_of
from pac.runtime_notifier.webhooks.outbox import Outbox

logger = structlog.get_logger(__name__)
AnyMessage = Message[GatewayEvent] | Message[DeploymentsEvent]
Change = Callable[[App], App]
Then = Callable[[Transaction], Awaitable[None]]
Eraser = Callable[[Transaction, UUID], Awaitable[None]]


@dataclass(frozen=True)
class Consumers:
    """`erasers`: what goes with a deleted app, beside what runs of it; each in the transaction that hears of it."""

    log: EventLog
    fleet: Fleet
    outbox: Outbox
    erasers: Sequence[Eraser] = ()

    async def on_gateway_event(self, message: Message[GatewayEvent]) -> None:
        match message.event:
            case AgentAppCreated(agent_app_id=app_id):
                await self._change(message, app_id, lambda app: replace(app, is_known=True))
            case AgentAppDeleted(agent_app_id=app_id):
                await self._change(message, app_id, running.deleted, then=lambda tx: self._erase(tx, app_id))
            case AgentAppChanged(agent_app_id=app_id, runtime=str() as runtime):
                await self._change(message, app_id, lambda app: replace(app, runtime=runtime))
            case AccountOpened() | AgentAppChanged() | ApiKeyCreated() | ApiKeyRevoked():
                return
            case AccountSuspended() | AccountResumed() | MemberAdded() | MemberChanged() | MemberRemoved():
                return
            case _:
                assert_never(message.event)

    async def on_deployments_event(self, message: Message[DeploymentsEvent]) -> None:
        match message.event:
            case StepStarted(step=Step.NOTIFY_RUNTIME) as event:
                await self._start(message, event)
            case DeploymentAborted(deployment_id=deployment_id, agent_app_id=app_id):
                await self._change(message, app_id, lambda app: running.aborted(app, deployment_id), deployment_id)
            case DeploymentCompleted() as event:
                await self._complete(message, event)
            case StepStarted() | StepCompleted() | StepFailed() | StepWaiting() | StepResumed():
                return
            case DeploymentQueued() | DeploymentStarted() as event:
                await self._tell(message, event)
            case DeploymentFailed() | DeploymentCancelled() | DeploymentRejected() as event:
                await self._tell(message, event)
            case DeploymentFunded() | DeploymentPartSettled():
                return
            case AppStopped(agent_app_id=app_id, release=release):
                await self._change(message, app_id, lambda app: running.stopped(app, release))
            case AppPinned() | AppReleased():
                return
            case _:
                assert_never(message.event)

    async def _start(self, message: Message[DeploymentsEvent], event: StepStarted) -> None:
        app_id, deployment_id = event.agent_app_id, event.deployment_id

        def start(app: App) -> App:
            if not app.is_known:
                raise TooEarly(f"agent app {app_id} is not heard of yet")
            return running.started(app, deployment_id, event.release, event.attempt)

        facts = {deployment_id: Facts.of(event)}
        await self._change(message, app_id, start, deployment_id, facts=facts, due_at=event.due_at)

    async def _complete(self, message: Message[DeploymentsEvent], event: DeploymentCompleted) -> None:
        deployment_id = event.deployment_id

        def complete(app: App) -> App:
            return running.completed(app, deployment_id, event.release, current=event.current)

        async def tell(tx: Transaction) -> None:
            await self.outbox.tell(tx, notice_of(event), message.envelope.id)

        facts = {deployment_id: Facts.of(event)}
        await self._change(message, event.agent_app_id, complete, deployment_id, facts=facts, then=tell)

    async def _tell(self, message: Message[DeploymentsEvent], event: Noticed) -> None:
        """Of no concern to a runtime, but to whoever has registered a webhook."""
        async with self.log.transaction(cause=message, locks=lock_of(event.agent_app_id)) as tx:
            await self.outbox.tell(tx, notice_of(event), message.envelope.id)

    async def _erase(self, tx: Transaction, app_id: UUID) -> None:
        await self.outbox.forget_app(tx, app_id)
        for erase in self.erasers:
            await erase(tx, app_id)

    async def _change(
        self,
        message: AnyMessage,
        app_id: UUID,
        change: Change,
        *deployments: UUID,
        facts: Mapping[UUID, Facts] | None = None,
        due_at: datetime | None = None,
        then: Then | None = None,
    ) -> None:
        async with self.log.transaction(cause=message, locks=lock_of(app_id)) as tx:
            before = await self.fleet.load(tx, app_id, *deployments)
            after = change(before)
            await self.fleet.save(tx, app_id, before, after, cause=message.cause, facts=facts, due_at=due_at)
            if then is not None:
                await then(tx)
        for wish in after.asked:
            logger.info("wire_asked_for", wish=type(wish).__name__.lower(), wire_id=wish.wire_id, app_id=str(app_id))
