"""The log of one service: load, execute, append, read in order, and wait for what others append."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID

import psycopg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pac.contracts.base import Event
from pac.contracts.envelope import Envelope
from pac.contracts.topics import ServiceName
from pac.eventlog.crashpoints import reach
from pac.eventlog.engine import Driver, driver_of, translated, unavailable
from pac.eventlog.metrics import APPENDED
from pac.eventlog.reading import BACKLOG, CLUSTER, END, EVENTS, HISTORY, MOVE_OVER, READ, WATERMARK, position_of
from pac.eventlog.record import envelope_from, placed_from
from pac.eventlog.together import AnyCause, Call, Together
from pac.eventlog.tracing import traced
from pac.eventlog.transaction import LOAD, SEEN, Opening, Transaction, begin, folded
from pac.eventlog.types import (
    AlreadySeen,
    Conflict,
    Decider,
    LogUnavailable,
    Message,
    Placed,
    Position,
    Recorded,
    Span,
)
from pac.eventlog.wake import Ticket, Wake

S = TypeVar("S")
C = TypeVar("C")
T = TypeVar("T")
E = TypeVar("E", bound=Event)

Then = Callable[[Transaction, S, Sequence[E], S], Awaitable[None]]
ATTEMPTS = 10
PROBE_SECONDS = 0.25
PROBE_PAUSE_SECONDS = 0.01
PROBES_AT_ONCE = 4


class ForeignXids(RuntimeError):  # noqa: N818 - names what is in the log
    """The log holds transaction ids that this cluster has not given out yet: its readers would stand still."""


class EventLog:
    """One per process. `close()` ends its background work and its pool."""

    def __init__(self, engine: AsyncEngine, service: ServiceName) -> None:
        self.engine = engine
        self.service = service
        self._reads = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._wake = Wake(engine.url)
        self._probes = asyncio.Semaphore(PROBES_AT_ONCE)
        self._draining = asyncio.Event()
        self._together = Together(self._opened)

    # ---- writing -----------------------------------------------------------------------------------------------

    async def execute(
        self,
        decider: Decider[S, C, E],
        stream_id: UUID | str,
        command: C,
        *,
        cause: AnyCause,
        then: Then[S, E] | None = None,
        locks: Sequence[str] = (),
    ) -> Recorded[S]:
        """Load, fold, decide, append, `then`, commit: one transaction, tried again when a race is lost.

        Raises what `decide` raises; AlreadySeen for an old message; LogUnavailable, after which it is not known
        whether it happened: doing it again is harmless with a message or with a decider that knows its news.
        """
        stream = decider.stream(stream_id)
        with traced(f"execute {type(command).__name__}", cause.traceparent, stream=stream) as here:
            for attempt in range(ATTEMPTS):
                call = Call(decider, stream, command, cause.within(here.traceparent), then, locks)
                try:
                    return await self._together.execute(call)
                except Conflict:
                    if attempt == ATTEMPTS - 1:
                        raise
                    await asyncio.sleep(random.uniform(0, 0.002 * 2**attempt))  # noqa: S311 - spreads, hides nothing
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def transaction(
        self, *streams: str, cause: AnyCause, locks: Sequence[str] = ()
    ) -> AsyncIterator[Transaction]:
        """Streams and locks are taken first, sorted; then the inbox row if the cause is a message; commit at exit."""
        with traced("transaction", cause.traceparent) as here:
            async with self._opened((cause.within(here.traceparent),)) as (tx,):
                (found,) = await begin([Opening(tx, streams, locks)])
                if isinstance(found, Exception):
                    raise found
                yield tx
                reach("transaction.before_commit")
                await tx.commit()
                reach("transaction.after_commit")

    @asynccontextmanager
    async def _opened(self, causes: Sequence[AnyCause]) -> AsyncIterator[list[Transaction]]:
        """A transaction for each cause, all on one connection: they are committed together."""
        with unavailable("the log"):
            async with self.engine.connect() as connection:
                driver = await driver_of(connection)
                await driver.set_autocommit(True)  # else psycopg spends a round trip on a BEGIN of its own
                txs = [Transaction(connection, driver, self.service, cause) for cause in causes]
                try:
                    yield txs
                except BaseException as error:
                    await _given_up(connection, driver, error)
                    raise
                await driver.set_autocommit(False)
        self._committed([tx for tx in txs if not tx.is_left_out])

    def _committed(self, txs: Sequence[Transaction]) -> None:
        """Only after the commit: a reader that is woken earlier finds nothing."""
        APPENDED.labels(self.service.value).inc(sum(tx.appended for tx in txs))
        if any(tx.appended or tx.wakes for tx in txs):
            self._wake.committed()
        for tx in txs:
            if tx.message is not None:
                tx.message.hearing.is_recorded = True
            for tell in tx.after_commit:
                tell()

    async def advance(self, message: Message[Any]) -> bool:
        """Moves the inbox over a message that has no effect; False if it had been seen. TooEarly on a gap."""
        try:
            async with self.transaction(cause=message):
                return True
        except AlreadySeen:
            return False

    async def move_over(self, consumer: str, spans: Sequence[Span]) -> list[Span]:
        """Moves the inbox over events that have no effect, all at once. Gives those that it did not move over.

        These have a gap before them, or another replica was at the same place: each message has to be looked at.
        """
        asked = {
            "consumer": consumer,
            "sources": [span.source for span in spans],
            "streams": [span.stream for span in spans],
            "firsts": [span.first for span in spans],
            "lasts": [span.last for span in spans],
        }
        moved = set(await self._rows(MOVE_OVER, asked))
        return [span for span in spans if (span.source, span.stream) not in moved]

    # ---- reading -----------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection without a transaction: every statement sees what is committed by then."""
        with unavailable("the log"):
            async with self._reads.connect() as connection:
                yield connection

    async def load(
        self, decider: Decider[S, C, E], stream_id: UUID | str, *, as_of: int | datetime | None = None
    ) -> Recorded[S]:
        """The state now, at a version, or before the first event later than a moment."""
        rows = await self._rows(LOAD, (decider.stream(stream_id),))
        match as_of:
            case int():
                rows = rows[: max(as_of, 0)]
            case datetime():
                rows = rows[: next((n for n, row in enumerate(rows) if row[3] > as_of), len(rows))]
            case None:
                pass
        return folded(self.service, decider, rows)

    async def history(self, stream: str) -> list[Envelope[Event]]:
        rows = await self._rows(HISTORY, (stream,))
        return [envelope_from(self.service, *row) for row in rows]

    async def read(self, after: Position, limit: int) -> list[tuple[Position, Envelope[Event]]]:
        """The next events in the log's order, of which none can be missed: nothing older is still in flight."""
        rows = await self._rows(READ, (str(after.xid), after.number, limit))
        return [(position_of(*row[:2]), envelope_from(self.service, *row[2:])) for row in rows]

    async def events(self, after: Position, limit: int, *, until: Position = END) -> tuple[list[Placed], Position]:
        """As `read`, but without the causes, which a fold never looks at and which cost as much as the events.

        No further than `until`. Gives where the last of them stands, too: `after` if there is none.
        """
        where = (str(after.xid), after.number, str(until.xid), until.number, limit)
        rows = await self._rows(EVENTS, where)
        return placed_from(self.service, rows), position_of(*rows[-1][4:]) if rows else after

    async def inbox(self, consumer: str, source: str, stream: str) -> int:
        """The last version of a stream that a consumer has seen; 0 before the first."""
        rows = await self._rows(SEEN, (consumer, source, stream))
        return int(rows[0][0]) if rows else 0

    async def relay_backlog_seconds(self) -> float:
        """Age of the oldest event that the relay has not sent; 0 when there is none."""
        return await self.backlog_seconds("relay")

    async def backlog_seconds(self, reader: str) -> float:
        """Age of the oldest event that is not yet behind a reader."""
        return float((await self._rows(BACKLOG, (reader,)))[0][0])

    async def watermark_age_seconds(self) -> float:
        """How long an event that is committed has been held back by an older transaction in flight."""
        return float((await self._rows(WATERMARK, ()))[0][0])

    async def check_cluster(self) -> None:
        """Refuses a log that was restored from a dump into a cluster with lower transaction ids.

        LogUnavailable while nobody has migrated the database yet.
        """
        try:
            foreign, newest = (await self._rows(CLUSTER, ()))[0]
        except psycopg.errors.UndefinedTable as missing:
            raise LogUnavailable("the database is not migrated yet") from missing
        if foreign:
            raise ForeignXids(
                f"the log of {self.service.value} holds transaction id {newest}, which this cluster has not reached: "
                f"restored from a dump? Stop the service and run: pac log rebase {self.service.value}"
            )

    async def _rows(self, statement: str, parameters: tuple[Any, ...] | dict[str, Any]) -> list[tuple[Any, ...]]:
        async with self.reading() as connection:
            cursor = await (await driver_of(connection)).execute(statement, parameters)
            return await cursor.fetchall()

    # ---- waiting -----------------------------------------------------------------------------------------------

    async def wait_for(
        self, probe: Callable[[AsyncConnection], Awaitable[T | None]], *, timeout_seconds: float
    ) -> T | None:
        """What `probe` finds, as soon as it finds something; None when time is up, or `release_waiters` was called.

        An outage meanwhile is waited out. The probe only reads; it runs outside of any transaction.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_seconds
        while True:
            woken = self._wake.ticket()
            try:
                async with self._probes, self.reading() as connection:
                    found = await probe(connection)
            except LogUnavailable:
                found = None
            left = deadline - loop.time()
            if found is not None or left <= 0 or self._draining.is_set():
                return found
            await woken.wait(min(left, PROBE_SECONDS))
            await asyncio.sleep(min(max(deadline - loop.time(), 0), PROBE_PAUSE_SECONDS))

    def release_waiters(self) -> None:
        """At shutdown: everybody in `wait_for` gets their answer after one last look."""
        self._draining.set()
        self._wake.heard()

    def woken(self) -> Ticket:
        """Taken before looking; `await ticket.wait(seconds)` then ends at the next commit that is heard of."""
        return self._wake.ticket()

    @property
    def hears_others(self) -> bool:
        """Does a commit of another process wake this one? If not, looking often has to do instead."""
        return self._wake.listening

    async def ping(self) -> None:
        """Raises LogUnavailable if Postgres is away."""
        async with self.reading() as connection:
            await connection.execute(text("SELECT 1"))

    async def close(self) -> None:
        await self._together.close()
        await self._wake.close()
        await self.engine.dispose()


async def _given_up(connection: AsyncConnection, driver: Driver, error: BaseException) -> None:
    """Leaves no open transaction behind. After a cancellation or an outage the connection is not worth a question.

    An outage may be the connection's own: a server that is a standby by now, or that forgot the prepared statements.
    """
    away = isinstance(error, OSError) or isinstance(translated(error, ""), LogUnavailable)
    if isinstance(error, Exception) and not driver.closed and not away:
        try:
            await driver.rollback()
            await driver.set_autocommit(False)
        except psycopg.Error:
            pass
        else:
            return
    await connection.invalidate()
