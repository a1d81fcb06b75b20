"""A service's event log in memory: no locks are needed; commits, failures, inbox and versions are as in Postgres."""

from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar, cast
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import Event
from pac.contracts.envelope import Envelope
from pac.contracts.topics import ServiceName
from pac.eventlog import (
    AlreadySeen,
    Cause,
    Decider,
    EventLog,
    Jobs,
    LogUnavailable,
    Message,
    Recorded,
    StaleLease,
    Then,
    TooEarly,
    Transaction,
)

from .world import Pause, Rows, World

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E", bound=Event)
T = TypeVar("T")
StreamOf = Callable[[Event, str], str]


def finished(work: Coroutine[Any, Any, T]) -> T:
    """Runs what must not wait for anything."""
    try:
        work.send(None)
    except StopIteration as end:
        return cast("T", end.value)
    raise AssertionError("a transaction or a handler waits for something that is not in the simulation")


class MemoryTransaction(Transaction):
    def __init__(self, log: "MemoryLog", cause: Cause | Message[Any], streams: Sequence[str]) -> None:
        self.connection = cast("AsyncConnection", log.tables)
        self.after_commit = []
        self.cause = cause.cause if isinstance(cause, Message) else cause
        self.wakes = False
        self.said: list[Envelope[Event]] = []
        self._log = log
        self._streams = streams

    async def load(self, decider: Decider[S, C, E], stream_id: UUID | str) -> Recorded[S]:
        return self._log.recorded(decider, decider.stream(stream_id))

    async def decide(
        self, decider: Decider[S, C, E], stream_id: UUID | str, command: C
    ) -> tuple[Sequence[E], Recorded[S]]:
        stream = decider.stream(stream_id)
        if stream not in self._streams:
            raise ValueError(f"{stream} is not among the streams that this transaction has locked")
        before = self._log.recorded(decider, stream)
        events = decider.decide(before.state, command)
        after = Recorded(decider.fold(events, before.state), before.version + len(events))
        if events:
            self._log.folds[stream] = after
            self.said += [self._log.written(stream, event, self.cause) for event in events]
        return events, after


@dataclass(frozen=True)
class Given:
    """A job in `state.jobs`; the token changes whenever a worker takes it."""

    payload: dict[str, Any]
    cause: Cause
    token: int = 0


class MemoryLog(EventLog):
    """`tables` is what the service's stand-ins for tables get as connection. `fails` is a crash before a commit."""

    def __init__(
        self, world: World, service: ServiceName, tables: object = None, stream_of: StreamOf | None = None
    ) -> None:
        self.service = service
        self.tables = tables
        self.world = world
        self.folds: Rows[str, Recorded[Any]] = Rows(world.journal)
        self.streams: dict[str, list[Event]] = {}
        self.versions: Rows[str, int] = Rows(world.journal)
        self.seen: Rows[tuple[str, str], int] = Rows(world.journal)
        self.fails_at: int | None = None
        self._stream_of = stream_of or (lambda _, stream: stream)

    # ---- what services call ----------------------------------------------------------------------------------------

    async def execute(
        self,
        decider: Decider[S, C, E],
        stream_id: UUID | str,
        command: C,
        *,
        cause: Cause | Message[Any],
        then: Then[S, E] | None = None,
        locks: Sequence[str] = (),
    ) -> Recorded[S]:
        async with self.transaction(decider.stream(stream_id), cause=cause, locks=locks) as tx:
            before = await tx.load(decider, stream_id)
            events, after = await tx.decide(decider, stream_id, command)
            if then is not None:
                await then(tx, before.state, events, after.state)
            return after

    @asynccontextmanager
    async def transaction(
        self, *streams: str, cause: Cause | Message[Any], locks: Sequence[str] = ()
    ) -> AsyncIterator[Transaction]:
        del locks  # one thing happens at a time here
        journal = self.world.journal
        assert journal.undo is None, "a transaction within a transaction"
        undo = journal.undo = []
        tx = MemoryTransaction(self, cause, streams)
        try:
            if isinstance(cause, Message):
                self._hear(cause.envelope)
            yield tx
            self._maybe_fail()
        except BaseException:
            journal.undo = None
            for step in reversed(undo):
                step()
            raise
        journal.undo = None
        for done in tx.after_commit:
            done()
        for envelope in tx.said:
            self.streams.setdefault(envelope.stream, []).append(envelope.event)
        for envelope in tx.said:
            self.world.say(envelope)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        yield cast("AsyncConnection", self.tables)

    async def load(
        self, decider: Decider[S, C, E], stream_id: UUID | str, *, as_of: int | datetime | None = None
    ) -> Recorded[S]:
        assert as_of is None
        return self.recorded(decider, decider.stream(stream_id))

    async def wait_for(
        self, probe: Callable[[AsyncConnection], Awaitable[T | None]], *, timeout_seconds: float
    ) -> T | None:
        """Pauses once: what it waits for has come when it is resumed, or all its time is over."""
        connection = cast("AsyncConnection", self.tables)
        found = await probe(connection)
        if found is None and timeout_seconds > 0:
            await Pause("waiting")
            found = await probe(connection)
            if found is None:
                self.world.waited_seconds += timeout_seconds
        return found

    # ---- what the simulation calls ---------------------------------------------------------------------------------

    def recorded(self, decider: Decider[S, C, E], stream: str) -> Recorded[S]:
        return self.folds.get(stream) or Recorded(decider.initial, 0)

    def written(self, stream: str, event: Event, cause: Cause) -> Envelope[Event]:
        said_on = self._stream_of(event, stream)
        version = self.versions[said_on] = self.versions.get(said_on, 0) + 1
        world = self.world
        return Envelope(
            world.fresh("event"), self.service.value, said_on, version, event, cause.actor, cause.correlation_id
        )

    def advance_over(self, message: Message[Any]) -> None:
        """The inbox moves over a message that had no effect to write."""
        told = message.envelope
        if self.seen.get((told.source, told.stream), 0) < told.version:
            self._hear(told)

    def _hear(self, told: Envelope[Event]) -> None:
        seen = self.seen.get((told.source, told.stream), 0)
        if told.version <= seen:
            raise AlreadySeen
        if told.version > seen + 1:
            raise TooEarly(f"{self.service} has seen {told.stream} up to {seen}")
        self.seen[told.source, told.stream] = told.version

    def _maybe_fail(self) -> None:
        if self.fails_at is not None:
            self.fails_at -= 1
            if self.fails_at == 0:
                self.fails_at = None
                raise LogUnavailable("the process died before its commit")


class MemoryJobs(Jobs):
    def __init__(self, log: MemoryLog, queue: str) -> None:
        self.log = log
        self.queue = queue
        self.rows: Rows[str, Given] = Rows(log.world.journal)
        self._tokens = 0

    async def put(
        self,
        tx: Transaction,
        key: str,
        payload: dict[str, Any],
        *,
        run_at: datetime | None = None,
        replace: bool = False,
    ) -> None:
        del run_at  # a pause is an order of things like any other
        if replace or key not in self.rows:
            self._tokens += 1
            self.rows[key] = Given(payload, tx.cause, self._tokens)

    async def cancel(self, tx: Transaction, key: str) -> None:
        del tx
        if key in self.rows:
            del self.rows[key]

    def taken(self, key: str) -> "MemoryJob":
        self._tokens += 1
        given = self.rows[key]
        self.rows[key] = Given(given.payload, given.cause, self._tokens)
        return MemoryJob(self, key, given.payload, given.cause, self._tokens)


@dataclass(frozen=True)
class MemoryJob:
    jobs: MemoryJobs
    key: str
    payload: dict[str, Any]
    cause: Cause
    token: int

    async def done(self, tx: Transaction) -> None:
        del tx
        if self.key not in self.jobs.rows or self.jobs.rows[self.key].token != self.token:
            raise StaleLease(self.key)
        del self.jobs.rows[self.key]
