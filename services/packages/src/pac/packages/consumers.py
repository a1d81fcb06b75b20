"""What packages hears: orders of the hub, its ends, billing's decision for the waiting request, apps and secrets."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import Row

from pac.contracts.base import Outcome, Step
from pac.contracts.billing import BillingEvent, CreditsReserved
from pac.contracts.deployments import AppStopped, DeploymentAborted, DeploymentCompleted, DeploymentsEvent, StepStarted
from pac.contracts.gateway import AgentAppChanged, AgentAppDeleted, GatewayEvent
from pac.contracts.runtime_notifier import RuntimeNotifierEvent, SecretsChanged
from pac.eventlog import EventLog, Jobs, Message, TooEarly
from pac.packages.domain.package import PACKAGE, Supersede
from pac.packages.domain.submission import OWN_STEPS, SUBMISSION, AnswerStep, Withdraw
from pac.packages.domain.versions import complete, frees, superseded_status, withdrawn_status
from pac.packages.orders import Order, cause_written, known_finding
from pac.packages.shelf import Shelf, app_lock, submission_row
from pac.servicekit.clock import Clock

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Consumers:
    log: EventLog
    jobs: Jobs
    redeploys: Jobs
    clock: Clock

    async def on_deployments_event(self, message: Message[DeploymentsEvent]) -> None:
        match message.event:
            case StepStarted(step=step) as ordered if step in OWN_STEPS:
                await self._ordered(message, ordered, step)
            case DeploymentAborted() as aborted:
                await self._aborted(message, aborted)
            case DeploymentCompleted() as completed:
                await self._completed(message, completed)
            case AppStopped(agent_app_id=app_id, release=release):
                async with self.log.transaction(cause=message, locks=[app_lock(app_id)]) as tx:
                    await Shelf(tx.connection, app_id).stop(release)
            case _:
                pass  # the hub's other news is for others; the inbox moves over it

    async def on_billing_event(self, message: Message[BillingEvent]) -> None:
        """The waiting request answers 202 on this; a refusal is heard from the hub, which has ended it by then."""
        match message.event:
            case CreditsReserved(deployment_id=deployment_id):
                async with self.log.transaction(cause=message) as tx:
                    row = await submission_row(tx.connection, deployment_id)
                    if row is None:
                        raise TooEarly(f"submission {deployment_id} is not known yet")
                    if row.decision == "undecided":
                        await Shelf(tx.connection, row.app_id).change_submission(deployment_id, decision="reserved")
                        tx.wake()
            case _:
                pass

    async def on_gateway_event(self, message: Message[GatewayEvent]) -> None:
        match message.event:
            case AgentAppDeleted(agent_app_id=app_id):
                async with self.log.transaction(cause=message, locks=[app_lock(app_id)]) as tx:
                    shelf = Shelf(tx.connection, app_id)
                    await shelf.mark_deleted(self.clock())
                    await shelf.put_signing_keys([])
                logger.info("app_deleted", app_id=str(app_id))
            case AgentAppChanged(agent_app_id=app_id, signature_policy=str() as policy):
                async with self.log.transaction(cause=message, locks=[app_lock(app_id)]) as tx:
                    await Shelf(tx.connection, app_id).put_policy(policy)
            case _:
                pass

    async def on_runtime_event(self, message: Message[RuntimeNotifierEvent]) -> None:
        match message.event:
            case SecretsChanged(agent_app_id=app_id, redeploys=True):
                async with self.log.transaction(cause=message) as tx:
                    payload = {"app_id": str(app_id), **cause_written(message.cause)}
                    await self.redeploys.put(tx, str(app_id), payload, replace=True)
            case _:
                pass

    async def _ordered(self, message: Message[DeploymentsEvent], event: StepStarted, step: Step) -> None:
        """An answer is owed for every attempt: at once where it is known already, else by a worker."""
        deployment_id = event.deployment_id
        stream, lock = SUBMISSION.stream(deployment_id), app_lock(event.agent_app_id)
        async with self.log.transaction(stream, cause=message, locks=[lock]) as tx:
            shelf = Shelf(tx.connection, event.agent_app_id)
            submission = await _submission(shelf, deployment_id)
            if not submission.open:
                return
            package = await shelf.package(submission.package_id)
            assert package is not None
            if submission.started_at is None:
                await shelf.change_submission(deployment_id, started_at=event.at)
            finding = known_finding(package, step)
            if finding is not None:
                command = AnswerStep(deployment_id, event.attempt, finding, self.clock())
                await tx.decide(SUBMISSION, deployment_id, command)
                return
            order = Order.of(message, step, event)
            await self.jobs.put(tx, order.key, order.payload)
            await shelf.change_submission(deployment_id, jobs=[*submission.jobs, order.key])

    async def _aborted(self, message: Message[DeploymentsEvent], event: DeploymentAborted) -> None:
        """Closes the submission; the last user of a never completed package gives its version back."""
        deployment_id = event.deployment_id
        stream, lock = SUBMISSION.stream(deployment_id), app_lock(event.agent_app_id)
        async with self.log.transaction(stream, cause=message, locks=[lock]) as tx:
            shelf = Shelf(tx.connection, event.agent_app_id)
            submission = await _submission(shelf, deployment_id)
            if not submission.open:
                return
            package = await shelf.holder(submission.package_id)
            place = await shelf.place(submission.version)
            freed = frees(package, place, deployment_id)
            now = self.clock()
            if freed:
                await shelf.put(submission.version, place.without(package.package_id))
                await shelf.change(package.package_id, status=withdrawn_status(package), withdrawn_at=now)
            rejected = event.outcome is Outcome.REJECTED and submission.decision == "undecided"
            said = {"decision": "rejected", "required": event.required, "available": event.available}
            await shelf.change_submission(deployment_id, open=False, **(said if rejected else {}))
            for key in submission.jobs:
                await self.jobs.cancel(tx, key)
            await tx.decide(SUBMISSION, deployment_id, Withdraw(deployment_id, freed, now))
        logger.info("package_withdrawn", deployment_id=str(deployment_id), freed=freed)

    async def _completed(self, message: Message[DeploymentsEvent], event: DeploymentCompleted) -> None:
        """The package is kept from now on; if it was claimed beside another, the version moves to it."""
        while not await self._completed_beside(message, event, await self._to_supersede(event)):
            pass

    async def _to_supersede(self, event: DeploymentCompleted) -> UUID | None:
        """Looked up first: its stream must be among those locked, and then it must still be the one."""
        async with self.log.reading() as connection:
            shelf = Shelf(connection, event.agent_app_id)
            holders = await shelf.holders([event.package_id])
            if event.package_id not in holders:
                raise TooEarly(f"package {event.package_id} is not known yet")
            moved = complete(holders[event.package_id], await shelf.place(event.package_version))
            return moved.superseded.package_id if moved.superseded else None

    async def _completed_beside(
        self, message: Message[DeploymentsEvent], event: DeploymentCompleted, expected: UUID | None
    ) -> bool:
        """False if another package has come to the version meanwhile: nothing was done."""
        streams = [PACKAGE.stream(expected)] if expected else []
        try:
            async with self.log.transaction(*streams, cause=message, locks=[app_lock(event.agent_app_id)]) as tx:
                shelf = Shelf(tx.connection, event.agent_app_id)
                submission = await _submission(shelf, event.deployment_id)
                package = await shelf.holder(submission.package_id)
                moved = complete(package, await shelf.place(submission.version))
                old = moved.superseded
                if (old.package_id if old else None) != expected:
                    raise _Changed  # noqa: TRY301 - ends the transaction without its inbox row
                release = event.release if event.current else None
                await shelf.change_submission(event.deployment_id, open=False, completed_at=event.at, release=release)
                await shelf.change(package.package_id, kept=True)
                await shelf.put(submission.version, moved.place)
                if old is not None:
                    await shelf.change(old.package_id, status=superseded_status(old), superseded_by=package.package_id)
                    command = Supersede(
                        old.package_id, event.account_id, event.agent_app_id, package.package_id, self.clock()
                    )
                    await tx.decide(PACKAGE, old.package_id, command)
                if event.current:
                    await shelf.move_current(event.release, package.package_id, event.deployment_id)
        except _Changed:
            return False
        return True


class _Changed(Exception):  # noqa: N818 - a lost race
    pass


async def _submission(shelf: Shelf, deployment_id: UUID) -> Row[Any]:
    row = await shelf.submission(deployment_id)
    if row is None:
        raise TooEarly(f"submission {deployment_id} is not known yet")
    return row
