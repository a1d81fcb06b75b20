"""One transaction of the log: locks first, then the inbox row, then whatever is read, decided and written.

The locks come before the first write because a transaction takes its xid there: one that wrote anything before it owned
its stream could append later with an older xid, and readers would see the stream out of order (measured).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
PREPARE pac_hear (text, text, text, bigint, bigint) AS
    INSERT INTO log.inbox AS seen (consumer, source, stream, version)
    SELECT $1, $2, $3, $5 WHERE $4 = 1
        OR EXISTS (SELECT FROM log.inbox AS known WHERE (known.consumer, known.source, known.stream) = ($1, $2, $3))
    ON CONFLICT ON CONSTRAINT inbox_pkey
    DO UPDATE SET version = excluded.version WHERE seen.version < $5 AND seen.version >= $4 - 1
"""
BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"
APPEND = "EXECUTE pac_append (%s, %s, %s, %s, %s, %s, %s)"
ROW_WIDTH = 7
STATEMENTS_PER_TEXT = 200

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
        self.is_left_out = False  # its message is not heard: nothing of it is in the commit
        self._driver = driver
        self._service = service
        self.message = cause if isinstance(cause, Message) else None
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

    async def version(self, stream: str) -> int:
        """Of a locked stream, without a look at its events: for one that only grows, and decides nothing."""
        return (await self._head(stream)).version

    async def append(self, stream: str, events: Sequence[Event], *, expected_version: int) -> int:
        """The stream's new version. Raises Conflict if it is not at `expected_version`."""
        (version,) = await append_all([(self, stream, events, expected_version)])
        return version

    def wake(self) -> None:
        """After the commit wakes whoever waits for this log, as an append does: for a change of rows alone."""
        self.wakes = True

    # ---- what EventLog calls -----------------------------------------------------------------------------------

    def folded(self, decider: Decider[S, C, E], stream: str, rows: Sequence[Row]) -> Recorded[S]:
        if stream in self._heads:
            self._heads[stream] = Head(rows[-1][0], rows[-1][2]) if rows else Head()
        return folded(self._service, decider, rows)

    async def commit(self) -> None:
        await self._driver.commit()

    def _owned(self, stream: str) -> None:
        if stream not in self._heads:
            raise ValueError(f"{stream} is not among the streams that this transaction has locked")

    async def _head(self, stream: str, expected_version: int | None = None) -> Head:
        self._owned(stream)
        if (head := self._heads[stream]) is None:
            found = await (await self._driver.execute(HEAD, (stream,))).fetchone()
            head = Head(*found) if found else Head()
            self._heads[stream] = head
        if expected_version is not None and head.version != expected_version:
            raise Conflict(stream, expected_version, head.version)
        return head

    async def _say(self, parts: Sequence[str], parameters: Sequence[Any]) -> psycopg.AsyncClientCursor[Row]:
        """Several statements as one text, in one round trip; each still has a snapshot of its own."""
        cursor = psycopg.AsyncClientCursor(self._driver)
        await cursor.execute(";".join(parts).encode(), parameters)
        return cursor

    async def _why_not_heard(self) -> AlreadySeen | TooEarly:
        assert self.message is not None
        told, consumer = self.message.envelope, self.message.consumer
        found = await (await self._driver.execute(SEEN, (consumer, told.source, told.stream))).fetchone()
        seen = found[0] if found else 0
        if seen >= told.version:
            return AlreadySeen(f"{consumer} has seen {told.stream} up to {seen}")
        due = told.version - self.message.hearing.passed - 1
        return TooEarly(f"{consumer} has seen {told.stream} up to {seen}, not yet {due}")


@dataclass(frozen=True)
class Opening:
    """How a transaction begins: the streams and locks that it takes, and the stream whose events it wants to see."""

    tx: Transaction
    streams: Sequence[str]
    locks: Sequence[str]
    load: str | None = None


async def begin(openings: Sequence[Opening]) -> list[list[Row] | AlreadySeen | TooEarly]:
    """Locks, inbox rows and the events to load, in one round trip; all openings are of one connection.

    Instead of its rows an opening gets why its message is not to be heard; nothing is written for it then.
    """
    first = openings[0].tx
    names = [name for opening in openings for name in (*opening.streams, *opening.locks)]
    parts = [BEGIN, *(f"SELECT pg_advisory_xact_lock({key})" for key in lock_keys(names))]
    parameters: list[Any] = []
    heard_at, loaded_at = dict[int, int](), dict[int, int]()
    for number, opening in enumerate(openings):
        opening.tx._heads = dict.fromkeys(opening.streams)  # noqa: SLF001 - one piece with Transaction
        if (message := opening.tx.message) is not None:
            told = message.envelope
            heard_at[len(parts)] = number
            parts.append("EXECUTE pac_hear (%s, %s, %s, %s, %s)")
            parameters += (
                message.consumer,
                told.source,
                told.stream,
                told.version - message.hearing.passed,
                told.version,
            )
        if opening.load is not None:
            loaded_at[len(parts)] = number
            parts.append("EXECUTE pac_load (%s)")
            parameters.append(opening.load)
    if not first.connection.info.get("pac_prepared"):
        await first._driver.execute(PREPARE)  # noqa: SLF001
        first.connection.info["pac_prepared"] = True
    cursor = await first._say(parts, parameters)  # noqa: SLF001
    found: list[list[Row] | AlreadySeen | TooEarly] = [[] for _ in openings]
    unheard: list[int] = []
    for at in range(len(parts)):
        if at in heard_at and cursor.rowcount == 0:
            unheard.append(heard_at[at])
        elif at in loaded_at:
            found[loaded_at[at]] = await cursor.fetchall()
        cursor.nextset()
    for number in unheard:
        found[number] = await openings[number].tx._why_not_heard()  # noqa: SLF001
    return found


Appending = tuple[Transaction, str, Sequence[Event], int]


async def append_all(appendings: Sequence[Appending], *, commit: bool = False) -> list[int]:
    """Events of several streams, each stream once, on one connection: (transaction, stream, events, expected version).

    Gives the new versions. Raises Conflict for a stream that is not where it was expected. With `commit` (of
    at least one) the last round trip ends the transaction as well.
    """
    if not appendings:
        return []
    parts: list[str] = []
    parameters: list[Any] = []
    versions: list[int] = []
    for tx, stream, events, expected_version in appendings:
        head = await tx._head(stream, expected_version)  # noqa: SLF001 - one piece with Transaction
        rows, head = rows_for(stream, head, events, tx.cause)
        parts += [APPEND] * len(events)
        parameters += rows
        tx._heads[stream] = head  # noqa: SLF001
        tx.appended += len(events)
        versions.append(head.version)
    if commit:
        parts.append("COMMIT")
    first = appendings[0][0]
    for begin_at in range(0, len(parts), STATEMENTS_PER_TEXT):
        some = parts[begin_at : begin_at + STATEMENTS_PER_TEXT]
        width = ROW_WIDTH * begin_at
        await first._say(some, parameters[width : width + ROW_WIDTH * some.count(APPEND)])  # noqa: SLF001
    return versions


def folded(
    service: ServiceName, decider: Decider[S, C, E], rows: Sequence[Row], upcasters: Upcasters = UPCASTERS
) -> Recorded[S]:
    """The fold of rows (version, data, hash, at, version of the data)."""
    events = [cast("E", event_from(service, row[1], row[4], upcasters)) for row in rows]
    return Recorded(decider.fold(events), rows[-1][0] if rows else 0)
