"""In over HTTP: endpoints are registered, shown, given new secrets, sent again what they missed, and deleted."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import structlog
from aiohttp import web
from sqlalchemy import Row, delete, func, insert, select, update

from pac.contracts.bodies.webhooks import (
    NewWebhook,
    NewWebhookReply,
    NewWebhookView,
    Recover,
    Redeliver,
    RequeuedReply,
    WebhookDeletedReply,
    WebhookReply,
)
from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog import EventLog, Transaction
from pac.runtime_notifier.fleet import lock_of
from pac.runtime_notifier.tables import APPS
from pac.runtime_notifier.webhooks.outbox import HISTORY_MAX, Outbox, TooMuch
from pac.runtime_notifier.webhooks.queries import PLACE, Owner, Queries, fields_of, found, view_of
from pac.runtime_notifier.webhooks.seals import Seals, new_secret
from pac.runtime_notifier.webhooks.tables import ATTEMPTS, MESSAGES, SECRETS, WEBHOOKS
from pac.servicekit.clock import Clock
from pac.servicekit.destinations import NotAllowed, Rules
from pac.servicekit.http import Route, body_in, caller_of, cause_of, nothing_in, page_in, reply, uuid_in
from pac.servicekit.idempotency import attempt_of

logger = structlog.get_logger(__name__)
PATH = "/api/agent-apps/{app_id}/webhooks"
SECRETS_MAX = 10  # in force at once


@dataclass(frozen=True)
class Limits:
    """`rotation_seconds`: how long a replaced secret still signs; `settle_seconds`: what a delivery may take."""

    webhooks_per_app: int
    rotation_seconds: float
    settle_seconds: float


@dataclass(frozen=True)
class WebhooksApi:
    log: EventLog
    outbox: Outbox
    queries: Queries
    seals: Seals
    rules: Rules
    limits: Limits
    now: Clock

    def routes(self) -> list[Route]:
        one = PATH + "/{hook_id}"
        return [
            Route("POST", PATH, self.create),
            Route("GET", PATH, self.list_all),
            Route("GET", one, self.get),
            Route("DELETE", one, self.delete),
            Route("GET", one + "/attempts", self.list_attempts),
            Route("POST", one + "/rotate", self.rotate),
            Route("POST", one + "/redeliver", self.redeliver),
            Route("POST", one + "/recover", self.recover),
            Route("POST", one + "/enable", self.enable),
        ]

    # ---- read ----------------------------------------------------------------------------------------------------

    async def list_all(self, request: web.Request) -> web.Response:
        return reply(await self.queries.webhooks(owner_of(request), page_in(request, PLACE)))

    async def get(self, request: web.Request) -> web.Response:
        row = await self.queries.webhook(owner_of(request), uuid_in(request, "hook_id"))
        return reply(WebhookReply(webhook=view_of(row)))

    async def list_attempts(self, request: web.Request) -> web.Response:
        row = await self.queries.webhook(owner_of(request), uuid_in(request, "hook_id"))
        return reply(await self.queries.attempts(row.id, page_in(request, PLACE)))

    # ---- write ---------------------------------------------------------------------------------------------------

    async def create(self, request: web.Request) -> web.Response:
        owner, wish = owner_of(request), await body_in(request, NewWebhook)
        try:
            url = str(self.rules.destination(wish.url).url)
        except NotAllowed as refused:
            raise Refused(ErrorCode.INVALID_REQUEST, details=[f"url: {refused}"]) from None
        webhook_id, secret = uuid4(), new_secret()
        row = {
            "id": webhook_id,
            "account_id": owner.account_id,
            "app_id": owner.app_id,
            "url": url,
            "events": [one.value for one in wish.events or ()],
            "description": wish.description,
            "created_at": self.now(),
            "failures": 0,
        }
        async with self.log.transaction(cause=cause_of(request), locks=lock_of(owner.app_id)) as tx:
            await self._refuse_if_full(tx, owner)
            made = (await tx.execute(insert(WEBHOOKS).values(row).returning(WEBHOOKS))).one()
            await self._keep_secret(tx, webhook_id, 1, secret)
            if wish.since is not None:
                await self._fill(tx, webhook_id, "from", **await self._history(tx, owner, wish.since))
            answer = shown_once(made, secret, status=201)
            await attempt_of(request).answer_in(tx.connection, answer)
        logger.info("webhook_registered", webhook_id=str(webhook_id), agent_app_id=str(owner.app_id))
        return answer

    async def delete(self, request: web.Request) -> web.Response:
        owner, webhook_id = owner_of(request), uuid_in(request, "hook_id")
        async with self.log.transaction(cause=cause_of(request)) as tx:
            await self._locked(tx, owner, webhook_id)
            await tx.execute(delete(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id))
            await self.outbox.jobs.cancel(tx, str(webhook_id))
        return reply(WebhookDeletedReply())

    async def rotate(self, request: web.Request) -> web.Response:
        """Answers when no delivery is on its way that was signed without the new secret: who has it may rely on it."""
        owner, webhook_id = owner_of(request), uuid_in(request, "hook_id")
        await nothing_in(request)
        secret, at = new_secret(), self.now()
        async with self.log.transaction(cause=cause_of(request)) as tx:
            row = await self._locked(tx, owner, webhook_id)
            mine = SECRETS.c.webhook_id == webhook_id
            await tx.execute(delete(SECRETS).where(mine, SECRETS.c.until <= at))
            numbers = (await tx.execute(select(SECRETS.c.number).where(mine))).scalars().all()
            if len(numbers) >= SECRETS_MAX:
                raise Refused(ErrorCode.CONFLICT, f"At most {SECRETS_MAX} secrets of a webhook are in force at once")
            until = at + timedelta(seconds=self.limits.rotation_seconds)
            await tx.execute(update(SECRETS).where(mine, SECRETS.c.until.is_(None)).values(until=until))
            await self._keep_secret(tx, webhook_id, max(numbers) + 1, secret)
            answer = shown_once(row, secret)
            await attempt_of(request).answer_in(tx.connection, answer)
        await self._until_signed_anew(webhook_id)
        return answer

    async def redeliver(self, request: web.Request) -> web.Response:
        owner, webhook_id = owner_of(request), uuid_in(request, "hook_id")
        wish = await body_in(request, Redeliver)
        async with self.log.transaction(cause=cause_of(request)) as tx:
            await self._enabled(tx, owner, webhook_id)
            attempts = select(ATTEMPTS.c.notice).where(ATTEMPTS.c.webhook_id == webhook_id)
            if wish.attempt_id is not None:
                attempts = attempts.where(ATTEMPTS.c.id == wish.attempt_id)
            newest = attempts.order_by(ATTEMPTS.c.at.desc(), ATTEMPTS.c.id.desc()).limit(1)
            if (notice := (await tx.execute(newest)).scalar_one_or_none()) is None:
                raise Refused(ErrorCode.NOT_FOUND, "Attempt not found")
            this = (MESSAGES.c.webhook_id == webhook_id, MESSAGES.c.notice == notice)
            anew = {"status": "pending", "attempts": 0, "next_at": func.clock_timestamp()}
            await tx.execute(update(MESSAGES).where(*this).values(anew))
            await self.outbox.wake(tx, webhook_id)
        return reply(RequeuedReply(messages=1), status=202)

    async def recover(self, request: web.Request) -> web.Response:
        owner, webhook_id = owner_of(request), uuid_in(request, "hook_id")
        wish = await body_in(request, Recover)
        if wish.until is not None and wish.until <= wish.since:
            raise Refused(ErrorCode.INVALID_REQUEST, details=["until: Must be later than since"])
        async with self.log.transaction(cause=cause_of(request)) as tx:
            await self._enabled(tx, owner, webhook_id)
            count = await self._fill(tx, webhook_id, "since", since=wish.since, until=wish.until)
        return reply(RequeuedReply(messages=count), status=202)

    async def enable(self, request: web.Request) -> web.Response:
        """One that was disabled; what it missed since is sent when it is asked for (`recover`)."""
        owner, webhook_id = owner_of(request), uuid_in(request, "hook_id")
        await nothing_in(request)
        healthy = {"failures": 0, "failing_since": None, "paused_until": None}
        enabled = {**healthy, "disabled_at": None, "disabled_reason": None}
        async with self.log.transaction(cause=cause_of(request)) as tx:
            await self._locked(tx, owner, webhook_id)
            row = update(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id).values(enabled).returning(WEBHOOKS)
            webhook = view_of((await tx.execute(row)).one())
            await self.outbox.wake(tx, webhook_id)
        return reply(WebhookReply(webhook=webhook))

    # ---- parts ---------------------------------------------------------------------------------------------------

    async def _locked(self, tx: Transaction, owner: Owner, webhook_id: UUID) -> Row[Any]:
        query = owner.mine().where(WEBHOOKS.c.id == webhook_id).with_for_update()
        return found((await tx.execute(query)).one_or_none())

    async def _enabled(self, tx: Transaction, owner: Owner, webhook_id: UUID) -> None:
        if (await self._locked(tx, owner, webhook_id)).disabled_at is not None:
            raise Refused(ErrorCode.CONFLICT, "This webhook is disabled: enable it first")

    async def _refuse_if_full(self, tx: Transaction, owner: Owner) -> None:
        if (await tx.execute(select(APPS.c.is_deleted).where(APPS.c.app_id == owner.app_id))).scalar_one_or_none():
            raise Refused(ErrorCode.NOT_FOUND, "Agent app not found")
        mine = owner.mine().subquery()
        count = (await tx.execute(select(func.count()).select_from(mine))).scalar_one()
        if count >= self.limits.webhooks_per_app:
            raise Refused(ErrorCode.CONFLICT, f"An agent app has at most {self.limits.webhooks_per_app} webhooks")

    async def _history(self, tx: Transaction, owner: Owner, since: UUID | datetime) -> Mapping[str, Any]:
        if isinstance(since, datetime):
            return {"since": since}
        if (first := await self.outbox.first_of(tx, owner.app_id, since)) is None:
            raise Refused(ErrorCode.INVALID_REQUEST, details=["from: No deployment of this app that is remembered"])
        return {"first": first}

    async def _fill(self, tx: Transaction, webhook_id: UUID, field: str, **span: Any) -> int:
        try:
            return await self.outbox.fill(tx, webhook_id, **span)
        except TooMuch:
            detail = f"{field}: More than {HISTORY_MAX} notices since then; choose a later time"
            raise Refused(ErrorCode.INVALID_REQUEST, details=[detail]) from None

    async def _keep_secret(self, tx: Transaction, webhook_id: UUID, number: int, secret: str) -> None:
        sealed = self.seals.seal(webhook_id, number, secret)
        await tx.execute(insert(SECRETS).values(webhook_id=webhook_id, number=number, sealed=sealed))

    async def _until_signed_anew(self, webhook_id: UUID) -> None:
        """Waits for the deliveries that had begun, which is not longer than one may take."""
        key = str(webhook_id)
        begun = await self.outbox.jobs.running(key)
        deadline = asyncio.get_running_loop().time() + self.limits.settle_seconds
        while begun is not None and begun == await self.outbox.jobs.running(key):
            if asyncio.get_running_loop().time() > deadline:
                return
            await asyncio.sleep(0.02)


def owner_of(request: web.Request) -> Owner:
    caller, app_id = caller_of(request), uuid_in(request, "app_id")
    if caller.account_id is None or caller.app is None or caller.app.id != app_id:
        raise Refused(ErrorCode.NOT_FOUND, "Agent app not found")
    return Owner(caller.account_id, app_id)


def shown_once(row: Row[Any], secret: str, *, status: int = 200) -> web.Response:
    return reply(NewWebhookReply(webhook=NewWebhookView(**fields_of(row), secret=secret)), status=status)
