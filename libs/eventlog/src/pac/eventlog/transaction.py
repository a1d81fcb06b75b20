"""One transaction of the log: locks first, then the inbox row, then whatever is read, decided and written.

The locks come before the first write because a transaction takes its xid there: one that wrote anything before it owned
its stream could append later with an older xid, and readers would see the stream out of order (measured).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast
from uuid import UUID

import psycopg
from sqlalchemy import Executable
from sqlalchemy.engine import CursorResult
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import Event
from pac.contracts.topics import ServiceName
from pac.contracts.upcasting import UPCASTERS, Upcasters
from pac.eventlog.engine import Driver, lock_keys
from pac.eventlog.record import Head, event_from, rows_for
from pac.eventlog.types import AlreadySeen, Cause, Conflict, Decider, Message, Recorded, TooEarly

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E", bound=Event)

LOAD = """
SELECT version, data::text, hash, at, (metadata->>'data_version')::int
FROM log.events WHERE stream = %s ORDER BY version
"""
HEAD = "SELECT version, hash FROM log.events WHERE stream = %s ORDER BY version DESC LIMIT 1"
SEEN = "SELECT version FROM log.inbox WHERE consumer = %s AND source = %s AND stream = %s"

# Prepared by name, so that several of them go to the server as one text and come back in one round trip. psycopg's
# pipeline does the same at more than twice the cost (measured, 8 callers).
PREPARE = """
PREPARE pac_load (text) AS
    SELECT version, data::text, hash, at, (metadata->>'data_version')::int
    FROM log.events WHERE stream = $1 ORDER BY version;
PREPARE pac_append (text, bigint, text, jsonb, jsonb, timestamptz, bytea) AS
    INSERT INTO log.events (stream, version, type, data, metadata, at, hash) VALUES ($1, $2, $3, $4, $5, $6, $7);
PREPARE pac_hear (text, text, text, bigint) AS
    INSERT INTO log.inbox AS seen (consumer, source, stream, version)
    SELECT $1, $2, $3, $4 WHERE $4 = 1
        OR EXISTS (SELECT FROM log.inbox AS known WHERE (known.consumer, known.source, known.stream) = ($1, $2, $3))
    ON CONFLICT ON CONSTRAINT inbox_pkey
    DO UPDATE SET version = excluded.version WHERE seen.version = excluded.version - 1
"""
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
EVENTS_PER_TEXT = 200

Row = tuple[Any, ...]


class Transaction:
    """What `EventLog.transaction` gives. `connection` is for the service's own statements, in it."""

    def __init__(
        self, connection: AsyncConnection, driver: Driver, service: ServiceName, cause: Cause | Message[Event]
    ) -> None:
        self.connection = connection
        self.after_commit: list[Callable[[], None]] = []
        self.appended = 0
        self.wakes = False
        self._driver = driver
        self._service = service
        self._message = cause if isinstance(cause, Message) else None
        self.cause = cause.cause if isinstance(cause, Message) else cause
        self._heads: dict[str, Head | None] = {}  # of the locked streams; None: not read yet

    # ---- what a service calls ----------------------------------------------------------------------------------

    async def execute(self, statement: Executable, parameters: Any = None) -> CursorResult[Any]:
        return cast("CursorResult[Any]", await self.connection.execute(statement, parameters))

    async def load(self, decider: Decider[S, C, E], stream_id: UUID | str) -> Recorded[S]:
        stream = decider.stream(stream_id)
        cursor = await self._driver.execute(LOAD, (stream,))
        return self.folded(decider, stream, await cursor.fetchall())

    async def decide(
        self, decider: Decider[S, C, E], stream_id: UUID | str, command: C
    ) -> tuple[Sequence[E], Recorded[S]]:
        """Load, decide, append. Gives the events and what is recorded after them."""
        stream = decider.stream(stream_id)
        self._owned(stream)
        before = await self.load(decider, stream_id)
        events = decider.decide(before.state, command)
        version = await self.append(stream, events, expected_version=before.version)
        return events, Recorded(decider.fold(events, before.state), version)

    async def append(self, stream: str, events: Sequence[Event], *, expected_version: int) -> int:
        """The stream's new version. Raises Conflict if it is not at `expected_version`."""
        return await self._append(stream, events, expected_version, commit=False)

    async def _append(self, stream: str, events: Sequence[Event], expected_version: int, *, commit: bool) -> int:
        self._owned(stream)
        if (head := self._heads[stream]) is None:
            found = await (await self._driver.execute(HEAD, (stream,))).fetchone()
            head = Head(*found) if found else Head()
        if head.version != expected_version:
            raise Conflict(stream, expected_version, head.version)
        for first in range(0, len(events), EVENTS_PER_TEXT):
            some = events[first : first + EVENTS_PER_TEXT]
            parameters, head = rows_for(stream, head, some, self.cause)
            parts = ["EXECUTE pac_append (%s, %s, %s, %s, %s, %s, %s)"] * len(some)
            if commit and first + EVENTS_PER_TEXT >= len(events):
                parts.append("COMMIT")
            await self._say(parts, parameters)
        self._heads[stream] = head
        self.appended += len(events)
        return head.version

    def wake(self) -> None:
        """After the commit wakes whoever waits for this log, as an append does: for a change of rows alone."""
        self.wakes = True

    # ---- what EventLog calls -----------------------------------------------------------------------------------

    async def begin(self, streams: Sequence[str], locks: Sequence[str], *, load: str | None = None) -> list[Row]:
        """Locks, inbox row and the events of `load`, in one round trip, each statement with a snapshot of its own."""
        self._heads = dict.fromkeys(streams)
        parts = [BEGIN, *(f"SELECT pg_advisory_xact_lock({key})" for key in lock_keys((*streams, *locks)))]
        parameters: list[Any] = []
        if self._message is not None:
            told = self._message.envelope
            parts.append("EXECUTE pac_hear (%s, %s, %s, %s)")
            parameters += (self._message.consumer, told.source, told.stream, told.version)
        heard_at = len(parts) - 1
        if load is not None:
            parts.append("EXECUTE pac_load (%s)")
            parameters.append(load)
        if not self.connection.info.get("pac_prepared"):
            await self._driver.execute(PREPARE)
            self.connection.info["pac_prepared"] = True
        cursor = await self._say(parts, parameters)
        results = [cursor.rowcount]
        while cursor.nextset():
            results.append(cursor.rowcount)
        if self._message is not None and results[heard_at] == 0:
            await self._refuse_message()
        return [] if load is None else await cursor.fetchall()

    async def _say(self, parts: Sequence[str], parameters: Sequence[Any]) -> psycopg.AsyncClientCursor[Row]:
        """Several statements as one text, in one round trip; each still has a snapshot of its own."""
        cursor = psycopg.AsyncClientCursor(self._driver)
        await cursor.execute(";".join(parts).encode(), parameters)
        return cursor

    def folded(self, decider: Decider[S, C, E], stream: str, rows: Sequence[Row]) -> Recorded[S]:
        if stream in self._heads:
            self._heads[stream] = Head(rows[-1][0], rows[-1][2]) if rows else Head()
        return folded(self._service, decider, rows)

    async def append_and_commit(self, stream: str, events: Sequence[Event], *, expected_version: int) -> int:
        """Both in one round trip; for when nothing else is to be written after the events."""
        return await self._append(stream, events, expected_version, commit=True)

    async def commit(self) -> None:
        await self._driver.commit()

    def _owned(self, stream: str) -> None:
        if stream not in self._heads:
            raise ValueError(f"{stream} is not among the streams that this transaction has locked")

    async def _refuse_message(self) -> None:
        assert self._message is not None
        told = self._message.envelope
        found = await (await self._driver.execute(SEEN, (self._message.consumer, told.source, told.stream))).fetchone()
        seen = found[0] if found else 0
        if seen >= told.version:
            raise AlreadySeen(f"{self._message.consumer} has seen {told.stream} up to {seen}")
        raise TooEarly(f"{self._message.consumer} has seen {told.stream} up to {seen}, not yet {told.version - 1}")


def folded(
    service: ServiceName, decider: Decider[S, C, E], rows: Sequence[Row], upcasters: Upcasters = UPCASTERS
) -> Recorded[S]:
    """The fold of rows (version, data, hash, at, version of the data)."""
    events = [cast("E", event_from(service, row[1], row[4], upcasters)) for row in rows]
    return Recorded(decider.fold(events), rows[-1][0] if rows else 0)
