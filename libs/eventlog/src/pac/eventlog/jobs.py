"""Durable work off the consumer's loop: put in the transaction that wants it, done in the one that has its effect.

await jobs.put(tx, key=str(deployment_id), payload={"attempt": 1})     # the same key again changes nothing
async def handle(job):                                                 # may be run twice, never by two at once
    ...
    async with log.transaction(stream, cause=job.cause) as tx: ...; await job.done(tx)
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.eventlog.crashpoints import reach
from pac.eventlog.engine import Driver, driver_of
from pac.eventlog.leases import StaleLease
from pac.eventlog.log import EventLog
from pac.eventlog.record import cause_from, cause_to
from pac.eventlog.transaction import Transaction
from pac.eventlog.types import Cause

Payload = dict[str, JsonValue]

PUT = """
INSERT INTO state.jobs AS job (queue, key, payload, cause, run_at)
VALUES (%s, %s, %s, %s, coalesce(%s::timestamptz, clock_timestamp())) ON CONFLICT ON CONSTRAINT jobs_pkey DO
"""
ONCE = PUT + "NOTHING"
REPLACE = (
    PUT
    + """UPDATE SET payload = excluded.payload, run_at = excluded.run_at, cause = excluded.cause,
    token = nextval('state.job_tokens'), leased_until = NULL, attempts = 0, error = NULL"""
)
SOONER = PUT + "UPDATE SET run_at = least(job.run_at, excluded.run_at)"
CANCEL = "DELETE FROM state.jobs WHERE queue = %s AND key = %s"
TAKE = """
UPDATE state.jobs AS job
SET token = nextval('state.job_tokens'), attempts = attempts + 1,
    leased_until = clock_timestamp() + %(seconds)s * interval '1 second'
WHERE queue = %(queue)s AND key = ANY (ARRAY(
    SELECT due.key FROM state.jobs AS due
    WHERE due.queue = %(queue)s AND due.run_at <= clock_timestamp()
      AND (due.leased_until IS NULL OR due.leased_until < clock_timestamp())
    ORDER BY due.run_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED))
RETURNING key, payload::text, cause::text, token, attempts, run_at, created_at
"""
RENEW = """
UPDATE state.jobs SET leased_until = clock_timestamp() + %s * interval '1 second'
WHERE queue = %s AND key = %s AND token = %s
"""
DONE = "DELETE FROM state.jobs WHERE queue = %s AND key = %s AND token = %s"
AGAIN = """
UPDATE state.jobs SET run_at = clock_timestamp() + %s * interval '1 second', payload = coalesce(%s::jsonb, payload),
    leased_until = NULL, token = nextval('state.job_tokens'),
    attempts = CASE WHEN %s THEN attempts ELSE 0 END, error = %s
WHERE queue = %s AND key = %s AND token = %s
"""
NEXT = """
SELECT extract(epoch FROM min(greatest(run_at, leased_until)) - clock_timestamp()) FROM state.jobs WHERE queue = %s
"""
RUNNING = "SELECT token FROM state.jobs WHERE queue = %s AND key = %s AND leased_until > clock_timestamp()"
WAITING = "SELECT count(*) FROM state.jobs WHERE queue = %s"


class Jobs:
    """One queue. `put` and the Worker of the same process share this object, so that a new job starts at once."""

    def __init__(self, log: EventLog, queue: str) -> None:
        self.log = log
        self.queue = queue
        self.wanted = asyncio.Event()

    async def put(
        self, tx: Transaction, key: str, payload: Payload, *, run_at: datetime | None = None, replace: bool = False
    ) -> None:
        """(queue, key) is unique: a repeat changes nothing. With `replace` it overwrites, and stops a running one."""
        await self._put(REPLACE if replace else ONCE, tx, key, payload, run_at)

    async def put_sooner(self, tx: Transaction, key: str, payload: Payload, *, run_at: datetime | None = None) -> None:
        """As `put`, and one that waits for a later time waits no longer. One that runs is let alone, and may just end:
        who puts and who ends it (`done`) take a lock of theirs first, so that the later one sees what the other wrote.
        """
        await self._put(SOONER, tx, key, payload, run_at)

    async def _put(self, statement: str, tx: Transaction, key: str, payload: Payload, run_at: datetime | None) -> None:
        driver = await driver_of(tx.connection)
        row = (self.queue, key, orjson.dumps(payload).decode(), orjson.dumps(cause_to(tx.cause)).decode(), run_at)
        await driver.execute(statement, row)
        tx.after_commit.append(self.wanted.set)

    async def cancel(self, tx: Transaction, key: str) -> None:
        """A worker that has it already can't finish it any more."""
        await (await driver_of(tx.connection)).execute(CANCEL, (self.queue, key))

    async def running(self, key: str) -> int | None:
        """The token of who has it now, another one each time that it is taken; None while nobody has."""
        async with self.log.reading() as connection:
            found = await (await (await driver_of(connection)).execute(RUNNING, (self.queue, key))).fetchone()
            return None if found is None else int(found[0])

    async def count(self) -> int:
        async with self.log.reading() as connection:
            found = await (await (await driver_of(connection)).execute(WAITING, (self.queue,))).fetchone()
            return int(found[0]) if found else 0

    # ---- what Worker calls -------------------------------------------------------------------------------------

    async def seconds_to_next(self) -> float | None:
        """Until a job is due that nobody holds; None when there is none at all."""
        async with self.log.reading() as connection:
            found = await (await (await driver_of(connection)).execute(NEXT, (self.queue,))).fetchone()
            return None if found is None or found[0] is None else float(found[0])

    async def take(self, limit: int, lease_seconds: float) -> list["Job"]:
        """Due jobs that nobody holds, oldest first; ours until the lease ends."""
        async with self.log.reading() as connection:
            asked = {"queue": self.queue, "limit": limit, "seconds": lease_seconds}
            rows = await (await (await driver_of(connection)).execute(TAKE, asked)).fetchall()
        rows.sort(key=lambda row: (row[5], row[0]))
        return [
            Job(self, key, orjson.loads(payload), cause_from(orjson.loads(cause)), token, attempts, created_at)
            for key, payload, cause, token, attempts, _, created_at in rows
        ]


@dataclass(frozen=True)
class Job:
    """A job in the hands of a worker. `attempts` counts this one, and starts anew after `again`.

    `cause` is that of the transaction which put it.
    """

    jobs: Jobs
    key: str
    payload: Payload
    cause: Cause
    token: int
    attempts: int
    created_at: datetime

    async def done(self, tx: Transaction) -> None:
        """In the transaction of its effect. Raises StaleLease if somebody else has it by now: nothing is committed."""
        reach("job.before_done")
        await self._fenced(tx.connection, DONE, (*self._self(),))
        reach("job.after_done")

    async def again(
        self, after_seconds: float, payload: Payload | None = None, *, tx: Transaction | None = None
    ) -> None:
        """Not finished, by intention: run it again later, with another payload if given. Raises StaleLease."""
        await self._put_back(after_seconds, payload, tx, keep_attempts=False, error=None)

    async def failed(self, after_seconds: float, error: str) -> None:
        """Not finished, by accident: attempts go on counting."""
        await self._put_back(after_seconds, None, None, keep_attempts=True, error=error)

    async def renew(self, lease_seconds: float) -> None:
        async with self.jobs.log.reading() as connection:
            await self._fenced(connection, RENEW, (lease_seconds, *self._self()))

    async def _put_back(
        self,
        after_seconds: float,
        payload: Payload | None,
        tx: Transaction | None,
        *,
        keep_attempts: bool,
        error: str | None,
    ) -> None:
        encoded = None if payload is None else orjson.dumps(payload).decode()
        parameters = (after_seconds, encoded, keep_attempts, error, *self._self())
        if tx is not None:
            await self._fenced(tx.connection, AGAIN, parameters)
        else:
            async with self.jobs.log.reading() as connection:
                await self._fenced(connection, AGAIN, parameters)

    def _self(self) -> tuple[str, str, int]:
        return (self.jobs.queue, self.key, self.token)

    async def _fenced(self, connection: AsyncConnection, statement: str, parameters: tuple[Any, ...]) -> None:
        driver: Driver = await driver_of(connection)
        if (await driver.execute(statement, parameters)).rowcount != 1:
            raise StaleLease(f"job {self.jobs.queue} {self.key}")
