"""What the other services say, as commands to the hub. The clock is ours: a deadline counts from when we hear."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

import structlog

from pac.contracts.base import Source
from pac.contracts.billing import (
    BillingEvent,
    CreditsCaptured,
    CreditsGranted,
    CreditsRefused,
    CreditsReleased,
    CreditsReserved,
)
from pac.contracts.deployments import DeploymentEvent
from pac.contracts.gateway import AgentAppDeleted, GatewayEvent
from pac.contracts.packages import (
    PackageDeleted,
    PackageDescribed,
    PackageEvent,
    PackageRejected,
    PackageStored,
    PackageSubmitted,
    PackageSuperseded,
    PackageUploaded,
    PackageValidated,
    PackageWithdrawn,
    SigningKeysChanged,
)
from pac.contracts.runtime_notifier import (
    RuntimeAway,
    RuntimeBack,
    RuntimeFailed,
    RuntimeNotifierEvent,
    RuntimeReady,
    SecretsChanged,
    WebhookDelivered,
    WebhookDisabled,
    WebhookExhausted,
)
from pac.deployments.domain import (
    APP,
    AbandonDeployment,
    Command,
    CompleteDeployment,
    CompleteStep,
    Deployment,
    FailStep,
    FundDeployment,
    HoldUpStep,
    PinApp,
    QueueDeployment,
    RefuseCredits,
    RejectPackage,
    ResumeStep,
    SettleCredits,
    SettlePackage,
)
from pac.deployments.queue import Queue, app_lock
from pac.eventlog import Decider, EventLog, Message
from pac.servicekit.clock import Clock

logger = structlog.get_logger(__name__)
News = PackageEvent | BillingEvent | RuntimeNotifierEvent


def command_for(event: News, at: datetime) -> Command | None:  # noqa: C901, PLR0911, PLR0912 - one case an event
    match event:
        case PackageSubmitted():
            return QueueDeployment(event)
        case PackageStored(deployment_id=deployment_id, step=step, attempt=attempt, object_key=object_key):
            return CompleteStep(deployment_id, step, attempt, at, object_key)
        case (
            PackageValidated(deployment_id=deployment_id, step=step, attempt=attempt)
            | PackageDescribed(deployment_id=deployment_id, step=step, attempt=attempt)
            | RuntimeReady(deployment_id=deployment_id, step=step, attempt=attempt)
        ):
            return CompleteStep(deployment_id, step, attempt, at)
        case PackageRejected(deployment_id=deployment_id, problems=problems):
            return RejectPackage(deployment_id, tuple(problem.message for problem in problems), at)
        case PackageWithdrawn(deployment_id=deployment_id):
            return SettlePackage(deployment_id, at)
        case RuntimeFailed(deployment_id=deployment_id, step=step, attempt=attempt, reason=reason, retriable=retriable):
            return FailStep(deployment_id, step, attempt, reason, retriable, at)
        case RuntimeAway(deployment_id=deployment_id, step=step, attempt=attempt, since=since):
            return HoldUpStep(deployment_id, step, attempt, since, at)
        case RuntimeBack(deployment_id=deployment_id, step=step, attempt=attempt):
            return ResumeStep(deployment_id, step, attempt, at)
        case CreditsReserved(deployment_id=deployment_id):
            return FundDeployment(deployment_id, at)
        case CreditsRefused(deployment_id=deployment_id, required=required, available=available):
            return RefuseCredits(deployment_id, required, available, at)
        case CreditsCaptured(deployment_id=deployment_id, attempt=attempt):
            return CompleteDeployment(deployment_id, attempt, at)
        case CreditsReleased(deployment_id=deployment_id):
            return SettleCredits(deployment_id, at)
        case PackageUploaded() | PackageSuperseded() | PackageDeleted() | SigningKeysChanged() | CreditsGranted():
            return None
        case SecretsChanged() | WebhookDelivered() | WebhookExhausted() | WebhookDisabled():
            return None
        case _:
            assert_never(event)


@dataclass(frozen=True)
class Consumers:
    log: EventLog
    decider: Decider[Deployment, Command, DeploymentEvent]
    queue: Queue
    clock: Clock

    async def on_gateway_event(self, message: Message[GatewayEvent]) -> None:
        if isinstance(message.event, AgentAppDeleted):
            await self._delete_app(message, message.event)

    async def on_package_event(self, message: Message[PackageEvent]) -> None:
        if isinstance(message.event, PackageSubmitted):
            await self._enter(message, message.event)
        else:
            await self._tell(message)

    async def on_billing_event(self, message: Message[BillingEvent]) -> None:
        captured = message.event
        if isinstance(captured, CreditsCaptured) and captured.amount == 0:  # as of every rollback
            deployment = (await self.log.load(self.decider, captured.deployment_id)).state
            if deployment.queued is not None and deployment.queued.source is Source.ROLLBACK:
                await self._complete_rollback(message, captured, deployment)
                return
        await self._tell(message)

    async def on_runtime_event(self, message: Message[RuntimeNotifierEvent]) -> None:
        await self._tell(message)

    async def _tell(self, message: Message[News]) -> None:
        if (command := command_for(message.event, self.clock())) is None:
            return
        deployment_id = command.deployment_id
        moved = await self.log.execute(self.decider, deployment_id, command, cause=message, then=self.queue.record)
        logger.info("deployment_moved", deployment_id=str(deployment_id), status=moved.state.status)

    async def _complete_rollback(
        self, message: Message[BillingEvent], captured: CreditsCaptured, before: Deployment
    ) -> None:
        """It pins its app, in the same transaction: whatever starts once its slot is free finds that."""
        app, at = before.submission.agent_app_id, self.clock()
        streams = (self.decider.stream(captured.deployment_id), APP.stream(app))
        async with self.log.transaction(*streams, cause=message) as tx:
            command = CompleteDeployment(captured.deployment_id, captured.attempt, at)
            events, after = await tx.decide(self.decider, captured.deployment_id, command)
            if not events:
                return
            await self.queue.record(tx, before, events, after.state)
            pin = PinApp(captured.account_id, app, captured.deployment_id, at)
            _, pinned = await tx.decide(APP, app, pin)
            await self.queue.record_app(tx, app, pinned.state)
        logger.info("app_pinned", agent_app_id=str(app), deployment_id=str(captured.deployment_id))

    async def _enter(self, message: Message[PackageEvent], submitted: PackageSubmitted) -> None:
        """Queued, and at once aborted if its app is gone: one transaction, so billing always hears of it first."""
        deployment_id, app = submitted.deployment_id, submitted.agent_app_id
        stream = self.decider.stream(deployment_id)
        async with self.log.transaction(stream, cause=message, locks=(app_lock(app),)) as tx:
            events, entered = await tx.decide(self.decider, deployment_id, QueueDeployment(submitted))
            if not events:
                return
            await self.queue.enter(tx, entered.state, message.cause)
            if await self.queue.is_deleted(tx, app):
                abandon = AbandonDeployment(deployment_id, self.clock())
                events, ended = await tx.decide(self.decider, deployment_id, abandon)
                await self.queue.record(tx, entered.state, events, ended.state)
        logger.info("deployment_queued", deployment_id=str(deployment_id), agent_app_id=str(app))

    async def _delete_app(self, message: Message[GatewayEvent], deleted: AgentAppDeleted) -> None:
        """The inbox moves last: after a crash all of it is done again, which changes nothing."""
        app = deleted.agent_app_id
        async with self.log.transaction(cause=message.cause, locks=(app_lock(app),)) as tx:
            open_deployments = await self.queue.delete_app(tx, app, deleted.account_id, deleted.at)
        for deployment_id in open_deployments:
            command = AbandonDeployment(deployment_id, self.clock())
            await self.log.execute(self.decider, deployment_id, command, cause=message.cause, then=self.queue.record)
        async with self.log.transaction(cause=message):
            logger.info("app_deleted", agent_app_id=str(app), open_deployments=len(open_deployments))
