"""What the API shows of endpoints and attempts, always of one app of one account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, Select, select, tuple_

from pac.contracts.bodies.webhooks import AttemptsReply, AttemptView, NoticeType, WebhooksReply, WebhookView
from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog import EventLog
from pac.runtime_notifier.webhooks.notices import message_id
from pac.runtime_notifier.webhooks.tables import ATTEMPTS, NOTICES, WEBHOOKS
from pac.servicekit.requests import Page, cursor_of

PLACE = (str, str)  # of a cursor: a moment and an id


@dataclass(frozen=True)
class Owner:
    """Whose endpoints are meant; the gateway has seen to it that the app is the account's."""

    account_id: UUID
    app_id: UUID

    def mine(self) -> Select[Any]:
        return select(WEBHOOKS).where(WEBHOOKS.c.app_id == self.app_id, WEBHOOKS.c.account_id == self.account_id)


@dataclass(frozen=True)
class Queries:
    log: EventLog

    async def webhook(self, owner: Owner, webhook_id: UUID) -> Row[Any]:
        """Refused (404) for another account's as for one that does not exist."""
        rows = await self._rows(owner.mine().where(WEBHOOKS.c.id == webhook_id))
        return found(rows[0] if rows else None)

    async def webhooks(self, owner: Owner, page: Page) -> WebhooksReply:
        """The oldest first."""
        query, place = owner.mine(), tuple_(WEBHOOKS.c.created_at, WEBHOOKS.c.id)
        if page.after:
            query = query.where(place > tuple_(*_place(page)))
        rows = await self._rows(query.order_by(WEBHOOKS.c.created_at, WEBHOOKS.c.id).limit(page.limit + 1))
        shown = rows[: page.limit]
        more = cursor_of(shown[-1].created_at.isoformat(), str(shown[-1].id)) if len(rows) > page.limit else None
        return WebhooksReply(webhooks=tuple(map(view_of, shown)), next_cursor=more)

    async def attempts(self, webhook_id: UUID, page: Page) -> AttemptsReply:
        """The newest first."""
        told = select(ATTEMPTS, NOTICES.c.type, NOTICES.c.app_id, NOTICES.c.subject, NOTICES.c.event_id)
        query = told.join(NOTICES, NOTICES.c.no == ATTEMPTS.c.notice).where(ATTEMPTS.c.webhook_id == webhook_id)
        if page.after:
            query = query.where(tuple_(ATTEMPTS.c.at, ATTEMPTS.c.id) < tuple_(*_place(page)))
        rows = await self._rows(query.order_by(ATTEMPTS.c.at.desc(), ATTEMPTS.c.id.desc()).limit(page.limit + 1))
        shown = rows[: page.limit]
        more = cursor_of(shown[-1].at.isoformat(), str(shown[-1].id)) if len(rows) > page.limit else None
        return AttemptsReply(attempts=tuple(map(_attempt_of, shown)), next_cursor=more)

    async def _rows(self, query: Select[Any]) -> Sequence[Row[Any]]:
        async with self.log.reading() as connection:
            rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
        return rows


def found(row: Row[Any] | None) -> Row[Any]:
    if row is None:
        raise Refused(ErrorCode.NOT_FOUND, "Webhook not found")
    return row


def view_of(row: Row[Any]) -> WebhookView:
    return WebhookView(**fields_of(row))


def fields_of(row: Row[Any]) -> dict[str, Any]:
    """None of its secrets among them. An endpoint for all notices has no list of its own."""
    names = set(WebhookView.model_fields) - {"events"}
    shown = {name: value for name, value in row._mapping.items() if name in names}  # noqa: SLF001 - the documented way
    return {**shown, "events": tuple(map(NoticeType, row.events)) or tuple(NoticeType)}


def _attempt_of(row: Row[Any]) -> AttemptView:
    return AttemptView(
        id=row.id,
        message_id=message_id(row.webhook_id, row.event_id),
        type=NoticeType(row.type),
        deployment_id=None if row.app_id is None else row.subject,
        at=row.at,
        duration_ms=row.duration_ms,
        status=row.status,
        delivered=row.error is None,
        error=row.error,
    )


def _place(page: Page) -> tuple[datetime, UUID]:
    moment, row_id = page.after
    try:
        return datetime.fromisoformat(str(moment)), UUID(str(row_id))
    except ValueError:
        raise Refused(ErrorCode.INVALID_REQUEST, details=["cursor: not one that this list has given out"]) from None
