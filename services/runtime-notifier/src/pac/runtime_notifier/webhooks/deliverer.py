"""Sends what is due to one endpoint, and writes down what came of it; the endpoint's job comes again until nothing is.

An endpoint is one job: two processes do not serve it at once, and one that hangs keeps one worker and a few
connections busy for as long as a request may last. No transaction is open meanwhile. A process that dies between
sending and writing down sends again, under the same id.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import structlog
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy import Row

from pac.contracts.base import Event
from pac.contracts.runtime_notifier import WebhookDelivered, WebhookDisabled, WebhookExhausted
from pac.eventlog import Cause, EventLog, Job, Transaction
from pac.runtime_notifier.webhooks.notices import disabled_notice, message_id
from pac.runtime_notifier.webhooks.outbox import Message, Outbox
from pac.runtime_notifier.webhooks.rules import Delivered, Failed, Health, Outcome, Policy, chance, outcome_of
from pac.runtime_notifier.webhooks.seals import Seals
from pac.runtime_notifier.webhooks.signing import signed_headers
from pac.servicekit.clock import Clock
from pac.servicekit.destinations import NotAllowed
from pac.servicekit.outgoing import Outgoing

logger = structlog.get_logger(__name__)
ACTOR = "runtime-notifier"
SENT_WITH_ALL = {"Content-Type": "application/json", "User-Agent": "PAC-Webhooks/1"}


class Figures:
    def __init__(self, registry: CollectorRegistry) -> None:
        self.attempts = Counter(
            "webhook_attempts", "Attempts at a delivery, by what came of them", ("outcome",), registry=registry
        )


def stream_of(webhook_id: UUID) -> str:
    return f"webhook-{webhook_id}"


@dataclass(frozen=True)
class Deliverer:
    """`parallel`: requests to one endpoint at once, each of another deployment."""

    log: EventLog
    outbox: Outbox
    outgoing: Outgoing
    seals: Seals
    policy: Policy
    parallel: int
    figures: Figures
    now: Clock

    async def handle(self, job: Job) -> None:
        webhook_id = UUID(job.key)
        endpoint = await self.outbox.endpoint(webhook_id)
        if endpoint is not None and endpoint.disabled_at is not None:
            await self._tell_others(job, webhook_id)
            return
        if endpoint is not None and (endpoint.paused_until is None or endpoint.paused_until <= self.now()):
            await self._send_due(endpoint)
        await self._go_on(job, webhook_id)

    async def _send_due(self, endpoint: Row[Any]) -> None:
        most = 1 if health_of(endpoint).is_open(self.policy) else self.parallel
        if not (messages := await self.outbox.due(endpoint.id, most)):
            return
        sealed = await self.outbox.secrets(endpoint.id, self.now())
        secrets = [self.seals.opened(endpoint.id, one.number, one.sealed) for one in sealed]
        sending = (self._send(endpoint, secrets, message) for message in messages)
        for result in await asyncio.gather(*sending, return_exceptions=True):
            if isinstance(result, BaseException):  # raised when all are done: none is cut off because of another
                raise result

    async def _send(self, endpoint: Row[Any], secrets: Sequence[str], message: Message) -> None:
        at, began = self.now(), time.perf_counter()
        outcome = await self._outcome(endpoint, secrets, message)
        milliseconds = int((time.perf_counter() - began) * 1000)
        stream = stream_of(endpoint.id)
        cause = Cause(ACTOR, message.correlation_id, message.event_id)
        async with self.log.transaction(stream, cause=cause) as tx:
            locked = await self.outbox.locked(tx, endpoint.id)
            if locked is None or locked.disabled_at is not None:
                return  # deleted, or disabled by another attempt: nobody waits for this one
            status, wait_seconds = self._next(message, outcome)
            if not await self.outbox.attempted(tx, endpoint.id, message, status, wait_seconds):
                return
            attempt_id = await self.outbox.keep_attempt(
                tx,
                endpoint.id,
                message,
                at=at,
                duration_ms=milliseconds,
                status=outcome.status,
                error=outcome.error if isinstance(outcome, Failed) else None,
            )
            await self._judge(tx, locked, outcome, status, attempt_id)
        self.figures.attempts.labels(type(outcome).__name__.lower()).inc()

    async def _outcome(self, endpoint: Row[Any], secrets: Sequence[str], message: Message) -> Outcome:
        try:
            destination = self.outgoing.rules.destination(endpoint.url)  # what is allowed may have changed since
        except NotAllowed as refused:
            return Failed(None, f"The endpoint's URL is not allowed any more: {refused}")
        headers = signed_headers(secrets, message_id(endpoint.id, message.event_id), self.now(), message.body)
        answer = await self.outgoing.post(destination, message.body.encode(), {**SENT_WITH_ALL, **headers})
        return outcome_of(answer, self.now())

    def _next(self, message: Message, outcome: Outcome) -> tuple[str, float | None]:
        """The message's status from now on, and how long it waits."""
        if isinstance(outcome, Delivered):
            return "delivered", None
        wait = self.policy.wait_seconds(message.attempts + 1, outcome, chance())
        return ("exhausted", None) if wait is None else ("pending", wait)

    async def _judge(
        self, tx: Transaction, endpoint: Row[Any], outcome: Outcome, status: str, attempt_id: UUID
    ) -> None:
        at, account = self.now(), endpoint.account_id
        events: list[Event] = []
        if status == "delivered":
            events.append(WebhookDelivered(account_id=account, at=at, webhook_id=endpoint.id, attempt_id=attempt_id))
        if status == "exhausted":
            events.append(WebhookExhausted(account_id=account, at=at, webhook_id=endpoint.id, attempt_id=attempt_id))
        health = health_of(endpoint).after(outcome, at, self.policy)
        await self.outbox.keep_health(tx, endpoint.id, health)
        if (reason := health.why_disabled(outcome, at, self.policy)) is not None:
            await self.outbox.disable(tx, endpoint.id, reason, at)
            events.append(WebhookDisabled(account_id=account, at=at, webhook_id=endpoint.id, reason=reason))
            logger.warning("webhook_disabled", webhook_id=str(endpoint.id), reason=reason)
        if events:
            stream = stream_of(endpoint.id)
            await tx.append(stream, events, expected_version=await tx.version(stream))

    async def _tell_others(self, job: Job, webhook_id: UUID) -> None:
        """The last thing that is to be done for an endpoint that was disabled."""
        async with self.log.transaction(cause=job.cause) as tx:
            endpoint = await self.outbox.locked(tx, webhook_id)
            if endpoint is None or endpoint.disabled_at is None:  # deleted, or enabled in this moment
                await job.again(0, tx=tx)
                return
            account_id, app_id, reason = endpoint.account_id, endpoint.app_id, endpoint.disabled_reason
            notice = disabled_notice(account_id, app_id, webhook_id, reason, endpoint.disabled_at)
            await self.outbox.tell(tx, notice, uuid4())
            await job.done(tx)

    async def _go_on(self, job: Job, webhook_id: UUID) -> None:
        async with self.log.transaction(cause=job.cause) as tx:
            endpoint = await self.outbox.locked(tx, webhook_id)
            if endpoint is None:
                await job.done(tx)
                return
            wait = await self.outbox.next_seconds(tx, webhook_id)
            if endpoint.disabled_at is not None:
                await job.again(0, tx=tx)
            elif wait is None:
                await job.done(tx)
            else:
                paused = (endpoint.paused_until - self.now()).total_seconds() if endpoint.paused_until else 0.0
                await job.again(max(wait, paused), tx=tx)


def health_of(endpoint: Row[Any]) -> Health:
    return Health(endpoint.failures, endpoint.failing_since, endpoint.paused_until)
