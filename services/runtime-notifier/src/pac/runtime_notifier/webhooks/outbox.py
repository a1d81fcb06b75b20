"""Who is to be told what, as rows: written in the transaction of what happened, worked off by one job per endpoint.

A row of `webhook_messages` is one notice for one endpoint. Of each subject only the first pending one is ever due, so
order is kept; whoever adds one and whoever ends an endpoint's job lock the endpoint's row first, so none is forgotten.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, delete, func, insert, select, text, update

from pac.contracts.bodies.webhooks import NoticeType
from pac.eventlog import EventLog, Jobs, Transaction
from pac.runtime_notifier.webhooks.notices import Notice
from pac.runtime_notifier.webhooks.rules import Health
from pac.runtime_notifier.webhooks.tables import ATTEMPTS, MESSAGES, NOTICES, SECRETS, WEBHOOKS

QUEUE = "webhooks"
HISTORY_MAX = 10_000  # notices that are put in the queue of an endpoint at once

# What concerns endpoints themselves goes to every one of the account, so that somebody hears of it.
HEARING = text(
    """
    SELECT id FROM state.webhooks WHERE disabled_at IS NULL AND CASE
        WHEN CAST(:app_id AS uuid) IS NULL THEN account_id = :account_id AND id <> :subject
        ELSE app_id = :app_id AND (cardinality(events) = 0 OR :type = ANY (events)) END
    ORDER BY id FOR SHARE
    """
)
DUE = text(
    """
    SELECT head.notice, head.attempts, told.type, told.body, told.event_id, told.correlation_id FROM (
        SELECT DISTINCT ON (subject) notice, attempts, next_at FROM state.webhook_messages
        WHERE webhook_id = :webhook_id AND status = 'pending' ORDER BY subject, notice
    ) AS head JOIN state.webhook_notices AS told ON told.no = head.notice
    WHERE head.next_at <= clock_timestamp() ORDER BY head.notice LIMIT :most
    """
)
NEXT_SECONDS = text(
    """
    SELECT extract(epoch FROM min(head.next_at) - clock_timestamp()) FROM (
        SELECT DISTINCT ON (subject) next_at FROM state.webhook_messages
        WHERE webhook_id = :webhook_id AND status = 'pending' ORDER BY subject, notice
    ) AS head
    """
)
# Those that were never put in the queue, and those that were and were not delivered.
FILL = text(
    """
    INSERT INTO state.webhook_messages (webhook_id, notice, subject, status)
    SELECT hook.id, told.no, told.subject, 'pending'
    FROM state.webhooks AS hook JOIN state.webhook_notices AS told ON told.app_id = hook.app_id
    WHERE hook.id = :webhook_id AND (cardinality(hook.events) = 0 OR told.type = ANY (hook.events))
      AND told.no >= coalesce(:first, 0)
      AND told.at >= coalesce(CAST(:since AS timestamptz), '-infinity')
      AND told.at < coalesce(CAST(:until AS timestamptz), 'infinity')
    ORDER BY told.no LIMIT :most
    ON CONFLICT (webhook_id, notice) DO UPDATE SET status = 'pending', attempts = 0, next_at = clock_timestamp()
    WHERE webhook_messages.status IN ('exhausted', 'dropped')
    """
)
OLD = text(
    """
    DELETE FROM state.webhook_notices WHERE no IN (
        SELECT no FROM state.webhook_notices AS told WHERE at < :before AND NOT EXISTS (
            SELECT FROM state.webhook_messages AS one WHERE one.notice = told.no AND one.status = 'pending')
        ORDER BY at LIMIT :most)
    """
)


class TooMuch(Exception):  # noqa: N818 - says what is the matter with the wish
    """More than HISTORY_MAX notices; nothing was put in the queue."""


@dataclass(frozen=True)
class Message:
    """One notice on its way to one endpoint; `attempts` made before."""

    notice: int
    attempts: int
    type: NoticeType
    body: str
    event_id: UUID
    correlation_id: UUID


@dataclass(frozen=True)
class Outbox:
    jobs: Jobs

    @classmethod
    def of(cls, log: EventLog) -> "Outbox":
        return cls(Jobs(log, QUEUE))

    # ---- in ------------------------------------------------------------------------------------------------------

    async def tell(self, tx: Transaction, notice: Notice, event_id: UUID) -> None:
        """In the transaction of what happened. With the lock of the app, since endpoints are added under it."""
        told = {"account_id": notice.account_id, "app_id": notice.app_id, "subject": notice.subject}
        row = {**told, "type": notice.type.value, "at": notice.at, "body": notice.body()}
        caused = {"event_id": event_id, "correlation_id": tx.cause.correlation_id}
        no = (await tx.execute(insert(NOTICES).values(**row, **caused).returning(NOTICES.c.no))).scalar_one()
        hearing = (await tx.execute(HEARING, {**told, "type": notice.type.value})).scalars().all()
        if hearing:
            message = {"notice": no, "subject": notice.subject, "status": "pending"}
            await tx.execute(insert(MESSAGES), [{"webhook_id": one, **message} for one in hearing])
        for webhook_id in hearing:
            await self.wake(tx, webhook_id)

    async def fill(
        self,
        tx: Transaction,
        webhook_id: UUID,
        *,
        first: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
    ) -> int:
        """Puts what was noticed before into an endpoint's queue, as far as it was not delivered: how many.

        Needs the lock of the app or of the endpoint's row. Raises TooMuch.
        """
        asked = {"webhook_id": webhook_id, "first": first, "since": since, "until": until, "most": HISTORY_MAX + 1}
        count = (await tx.execute(FILL, asked)).rowcount
        if count > HISTORY_MAX:
            raise TooMuch
        if count:
            await self.wake(tx, webhook_id)
        return count

    async def first_of(self, tx: Transaction, app_id: UUID, deployment_id: UUID) -> int | None:
        """The first notice of a deployment of that app; None if there is none."""
        of_it = (NOTICES.c.app_id == app_id, NOTICES.c.subject == deployment_id)
        found = await tx.execute(select(NOTICES.c.no).where(*of_it).order_by(NOTICES.c.no).limit(1))
        return found.scalar_one_or_none()

    async def wake(self, tx: Transaction, webhook_id: UUID) -> None:
        await self.jobs.put_sooner(tx, str(webhook_id), {})

    # ---- out -----------------------------------------------------------------------------------------------------

    async def endpoint(self, webhook_id: UUID) -> Row[Any] | None:
        async with self.jobs.log.reading() as connection:
            return (await connection.execute(select(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id))).one_or_none()

    async def secrets(self, webhook_id: UUID, at: datetime) -> Sequence[Row[Any]]:
        """The sealed ones in force, the newest first."""
        in_force = (SECRETS.c.until.is_(None)) | (SECRETS.c.until > at)
        query = select(SECRETS).where(SECRETS.c.webhook_id == webhook_id, in_force).order_by(SECRETS.c.number.desc())
        async with self.jobs.log.reading() as connection:
            return (await connection.execute(query)).all()

    async def due(self, webhook_id: UUID, most: int) -> list[Message]:
        """At most one of each subject, in the order in which they were noticed."""
        async with self.jobs.log.reading() as connection:
            rows = (await connection.execute(DUE, {"webhook_id": webhook_id, "most": most})).all()
        return [
            Message(row.notice, row.attempts, NoticeType(row.type), row.body, row.event_id, row.correlation_id)
            for row in rows
        ]

    async def locked(self, tx: Transaction, webhook_id: UUID) -> Row[Any] | None:
        query = select(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id).with_for_update()
        return (await tx.execute(query)).one_or_none()

    async def attempted(
        self, tx: Transaction, webhook_id: UUID, message: Message, status: str, wait_seconds: float | None
    ) -> bool:
        """False if somebody else has written down an attempt at it since it was taken: theirs counts."""
        changes: dict[str, Any] = {"status": status, "attempts": message.attempts + 1}
        if wait_seconds is not None:
            changes["next_at"] = func.clock_timestamp() + timedelta(seconds=wait_seconds)
        columns = MESSAGES.c
        as_taken = (columns.status == "pending", columns.attempts == message.attempts)
        this = (columns.webhook_id == webhook_id, columns.notice == message.notice)
        done = await tx.execute(update(MESSAGES).where(*this, *as_taken).values(changes))
        return done.rowcount == 1

    async def keep_attempt(
        self,
        tx: Transaction,
        webhook_id: UUID,
        message: Message,
        *,
        at: datetime,
        duration_ms: int,
        status: int | None,
        error: str | None,
    ) -> UUID:
        attempt_id = uuid4()
        row = {"id": attempt_id, "webhook_id": webhook_id, "notice": message.notice, "at": at}
        await tx.execute(insert(ATTEMPTS).values(**row, duration_ms=duration_ms, status=status, error=error))
        return attempt_id

    async def keep_health(self, tx: Transaction, webhook_id: UUID, health: Health) -> None:
        changes = {
            "failures": health.failures,
            "failing_since": health.failing_since,
            "paused_until": health.paused_until,
        }
        await tx.execute(update(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id).values(changes))

    async def disable(self, tx: Transaction, webhook_id: UUID, reason: str, at: datetime) -> None:
        """What waits is dropped: it can be recovered. The job stays, for what is left to be told."""
        row = update(WEBHOOKS).where(WEBHOOKS.c.id == webhook_id)
        await tx.execute(row.values(disabled_at=at, disabled_reason=reason, paused_until=None))
        waiting = (MESSAGES.c.webhook_id == webhook_id, MESSAGES.c.status == "pending")
        await tx.execute(update(MESSAGES).where(*waiting).values(status="dropped"))

    async def next_seconds(self, tx: Transaction, webhook_id: UUID) -> float | None:
        """Until something is due for an endpoint; None when nothing waits. With the endpoint's row locked."""
        found = (await tx.execute(NEXT_SECONDS, {"webhook_id": webhook_id})).scalar_one_or_none()
        return None if found is None else max(float(found), 0.0)

    # ---- gone ----------------------------------------------------------------------------------------------------

    async def forget_app(self, tx: Transaction, app_id: UUID) -> None:
        """With its endpoints go their secrets, what waits, and the attempts."""
        gone = await tx.execute(delete(WEBHOOKS).where(WEBHOOKS.c.app_id == app_id).returning(WEBHOOKS.c.id))
        for webhook_id in gone.scalars().all():
            await self.jobs.cancel(tx, str(webhook_id))
        await tx.execute(delete(NOTICES).where(NOTICES.c.app_id == app_id))

    async def forget_older(self, before: datetime, most: int) -> int:
        """Notices that nobody waits for, with the attempts at them: how many were forgotten."""
        async with self.jobs.log.reading() as connection:
            return (await connection.execute(OLD, {"before": before, "most": most})).rowcount

    async def waiting(self) -> float:
        query = text("SELECT count(*) FROM state.webhook_messages WHERE status = 'pending'")
        async with self.jobs.log.reading() as connection:
            return float(await connection.scalar(query) or 0)
