"""What billing does when it hears of accounts and deployments: it opens, grants, holds, captures and releases."""

from dataclasses import dataclass
from typing import assert_never

import structlog

from pac.billing.accounts import Accounts
from pac.billing.domain import ACCOUNT, HOLD, Capture, HoldCommand, Release, Reserve, SignUp
from pac.billing.pricing import cost_of
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
from pac.eventlog import EventLog, Message, TooEarly
from pac.eventlog.crashpoints import reach

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Consumers:
    log: EventLog
    accounts: Accounts
    sign_up_credits: int

    async def on_gateway_event(self, message: Message[GatewayEvent]) -> None:
        match message.event:
            case AccountOpened() as event:
                await self._open(message, event)
            case AgentAppCreated() | AgentAppChanged() | AgentAppDeleted() | ApiKeyCreated() | ApiKeyRevoked():
                return
            case AccountSuspended() | AccountResumed() | MemberAdded() | MemberChanged() | MemberRemoved():
                return
            case _:
                assert_never(message.event)

    async def on_deployments_event(self, message: Message[DeploymentsEvent]) -> None:
        match message.event:
            case DeploymentQueued() as event:
                await self._reserve(message, event)
            case StepStarted(step=Step.FINALIZE) as event:
                await self._end(message, Capture(event.account_id, event.deployment_id, event.attempt, event.at))
            case DeploymentAborted() as event:
                await self._end(message, Release(event.account_id, event.deployment_id, event.at))
            case StepStarted() | StepCompleted() | StepFailed() | StepWaiting() | StepResumed():
                return
            case DeploymentFunded() | DeploymentStarted() | DeploymentPartSettled():
                return
            case DeploymentFailed() | DeploymentCancelled() | DeploymentRejected() | DeploymentCompleted():
                return
            case AppPinned() | AppReleased() | AppStopped():
                return
            case _:
                assert_never(message.event)

    async def _open(self, message: Message[GatewayEvent], event: AccountOpened) -> None:
        account_id = event.account_id
        locks = self.accounts.locks(account_id)
        async with self.log.transaction(ACCOUNT.stream(account_id), cause=message, locks=locks) as tx:
            locked = await self.accounts.prepare(tx, account_id)
            await self.accounts.open(tx, account_id, event.at)
            granted, _ = await tx.decide(ACCOUNT, account_id, SignUp(account_id, self.sign_up_credits, event.at))
            await self.accounts.book(tx, locked, granted, reason="Sign-up credits")
        logger.info("balance_opened", account_id=str(account_id))

    async def _reserve(self, message: Message[DeploymentsEvent], event: DeploymentQueued) -> None:
        account_id, deployment_id = event.account_id, event.deployment_id
        amount = cost_of(event.size_bytes, event.source, billable=event.billable)
        locks = self.accounts.locks(account_id)
        async with self.log.transaction(HOLD.stream(deployment_id), cause=message, locks=locks) as tx:
            locked = await self.accounts.lock(tx, account_id)
            if not locked.is_open:
                raise TooEarly(f"account {account_id} is not heard of yet")
            command = Reserve(account_id, deployment_id, amount, locked.balance.available, event.at)
            decided, _ = await tx.decide(HOLD, deployment_id, command)
            await self.accounts.book(tx, locked, decided)
            reach("reserve.before_commit")
        reach("reserve.after_commit")
        for said in decided:
            logger.info("credits_decided", deployment_id=str(deployment_id), said=said.type, credits=amount)

    async def _end(self, message: Message[DeploymentsEvent], command: HoldCommand) -> None:
        stream, locks = HOLD.stream(command.deployment_id), self.accounts.locks(command.account_id)
        name = "capture" if isinstance(command, Capture) else "release"
        async with self.log.transaction(stream, cause=message, locks=locks) as tx:
            locked = await self.accounts.lock(tx, command.account_id)
            decided, hold = await tx.decide(HOLD, command.deployment_id, command)
            await self.accounts.book(tx, locked, decided)
            reach(f"{name}.before_commit")
        reach(f"{name}.after_commit")
        logger.info("hold_ended", deployment_id=str(command.deployment_id), status=hold.state.status.value)
