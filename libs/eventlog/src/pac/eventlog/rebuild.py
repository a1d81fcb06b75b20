"""A projection rebuilt beside the live one: in short chunks, compared at one position, switched in one transaction.

Readers of the live tables notice nothing before the switch, nothing is sent, and whatever ends a rebuild halfway leaves
the live ones as they are. Only one at a time per projection: a lease, which every write of it names.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import structlog

from pac.eventlog import checkpoints
from pac.eventlog.beside import LIVE, Beside
from pac.eventlog.comparison import Compared, compare
from pac.eventlog.engine import Driver, driver_of, unavailable
from pac.eventlog.leases import Lease, Leases, StaleLease
from pac.eventlog.log import EventLog
from pac.eventlog.readers import Projection
from pac.eventlog.reading import position_of
from pac.eventlog.types import LogUnavailable, Placed, Position

logger = structlog.get_logger(__name__)

COUNT = "SELECT count(*) FROM log.events WHERE (xid, position) > (%s::xid8, %s) AND (xid, position) <= (%s::xid8, %s)"
HOLD_LIVE = "SELECT xid::text, position FROM log.checkpoints WHERE reader = %s FOR UPDATE"
IS_THERE = "SELECT 1 FROM log.checkpoints WHERE reader = %s"
UNTIMED = ("transaction_timeout", "statement_timeout", "idle_in_transaction_session_timeout")

Batch = tuple[Sequence[Placed], Position]  # some events, and where the last of them stands
Stage = Literal["replaying", "comparing", "switching"]


class RebuildBusy(RuntimeError):  # noqa: N818 - says what is going on
    """This projection is being rebuilt or verified by another process, or was until some seconds ago."""


class LiveInTheWay(TimeoutError):  # noqa: N818 - says what was in the way
    """The live tables were in use for so long that the switch was given up. They are as they were."""


@dataclass(frozen=True)
class Progress:
    """Events replayed, of those that the live tables show."""

    stage: Stage
    done: int
    total: int


@dataclass(frozen=True)
class Rebuilt:
    """`position`: where both sides stood when they were compared. `events`: how many were replayed."""

    position: Position
    events: int
    tables: tuple[Compared, ...]
    is_switched: bool = False

    @property
    def is_same(self) -> bool:
        return not any(table.differing for table in self.tables)


@dataclass(frozen=True)
class Pace:
    """A transaction with an xid delays every reader of the cluster: chunks aim at half of `chunk_seconds` at most."""

    chunk_seconds: float = 0.8
    smallest: int = 100
    first: int = 500
    largest: int = 20_000
    while_held: int = 99  # events that may be left when the live projection is stopped for a moment
    lease_seconds: float = 10.0
    lock_timeout_seconds: float = 0.5  # who waits for a table makes everybody behind it wait
    pause_seconds: float = 0.25
    switch_attempts: int = 40


def lease_of(projection: str) -> str:
    return f"rebuild:{projection}"


def _to_nobody(_: Progress) -> None:
    pass


@dataclass
class Rebuild:
    """One rebuild of one projection; needs an engine with at least four connections."""

    log: EventLog
    projection: Projection
    told: Callable[[Progress], None] = _to_nobody
    pace: Pace = field(default_factory=Pace)
    _stands: Position = field(default_factory=Position)
    _done: int = 0
    _total: int = 0

    def __post_init__(self) -> None:
        self._beside = Beside(self.projection)
        self._translated = self._beside.engine(self.log.engine)
        self._leases = Leases(self.log, self.pace.lease_seconds)
        self._size = self.pace.first

    async def run(self, *, accept_differences: bool = False) -> Rebuilt:
        """Switches if both are the same, or if differences are what is wanted: a projection that has changed."""
        async with self._alone() as lease:
            found = await self._compared(lease)
            if not found.is_same and not accept_differences:
                return found
            self._tell("switching")
            await self._switch(lease)
            logger.info("projection_switched", projection=self.projection.name, events=self._done)
            return replace(found, events=self._done, is_switched=True)

    async def check(self) -> Rebuilt:
        """Compares only; the live ones stay in any case."""
        async with self._alone() as lease:
            return await self._compared(lease)

    # ---- one at a time -----------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[Lease]:
        if (lease := await self._leases.acquire(lease_of(self.projection.name))) is None:
            raise RebuildBusy(f"projection {self.projection.name} is being rebuilt or verified already")
        renewing = asyncio.create_task(self._renew(lease))
        try:
            yield lease
        finally:
            renewing.cancel()
            # Also when we are cancelled: what was begun is cleared away, if the database is there.
            await asyncio.shield(asyncio.ensure_future(self._clear(lease)))

    async def _renew(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self.pace.lease_seconds / 4)
            with contextlib.suppress(LogUnavailable):
                await self._leases.renew(lease)  # if it is lost, the next write says so

    async def _clear(self, lease: Lease) -> None:
        with contextlib.suppress(LogUnavailable, StaleLease, TimeoutError):
            async with asyncio.timeout(self.pace.lease_seconds):
                async with self._writing(lease) as driver:
                    await self._beside.drop(driver)
                await self._leases.release(lease)

    @asynccontextmanager
    async def _writing(self, lease: Lease) -> AsyncIterator[Driver]:
        """A transaction that is ours only as long as the lease is."""
        with unavailable(f"projection {self.projection.name}"):
            async with self.log.engine.begin() as connection:
                await self._leases.hold(connection, lease)
                yield await driver_of(connection)

    # ---- replay ------------------------------------------------------------------------------------------------

    async def _begin(self, lease: Lease) -> None:
        live = await checkpoints.position_in(self.log, self.projection.name)
        async with self._writing(lease) as driver:
            await self._beside.make(driver)
            await driver.execute(checkpoints.OPEN, (self._beside.reader,))
        self._stands, self._done, self._total = Position(), 0, await self._count(Position(), live)

    async def _catch_up(self, lease: Lease) -> None:
        """Until the live ones are no more than a few events ahead. Waits out outages of Postgres."""
        while True:
            try:
                events, after = await self._next(await checkpoints.position_in(self.log, self.projection.name))
                if len(events) <= self.pace.while_held:
                    return
                await self._apply(lease, events, after)
            except LogUnavailable as outage:
                await self._wait(outage)

    async def _wait(self, outage: LogUnavailable) -> None:
        """Whether the last chunk was committed is not known: its checkpoint says it."""
        logger.info("rebuild_waits", projection=self.projection.name, reason=str(outage))
        await asyncio.sleep(self.pace.pause_seconds)
        with contextlib.suppress(LogUnavailable):
            self._stands = await checkpoints.position_in(self.log, self._beside.reader)

    async def _next(self, until: Position) -> Batch:
        """Never past the live ones, so that both can stand at one position."""
        limit = max(self._size, self.pace.while_held + 1)
        return await self.log.events(self._stands, limit, until=until)

    async def _apply(self, lease: Lease, events: Sequence[Placed], after: Position) -> None:
        loop, before = asyncio.get_running_loop(), self._stands
        began = loop.time()
        with unavailable(f"projection {self.projection.name}"):
            async with self._translated.begin() as connection:
                await self._leases.hold(connection, lease)
                if not await checkpoints.move(connection, self._beside.reader, before, after):
                    raise StaleLease(lease.name)
                await self.projection.apply(connection, events)
        self._stands, self._done = after, self._done + len(events)
        took = loop.time() - began
        if took > self.pace.chunk_seconds / 2:
            self._size = max(self._size // 2, self.pace.smallest)
        elif took < self.pace.chunk_seconds / 4:
            self._size = min(self._size * 2, self.pace.largest)
        self._tell("replaying")

    # ---- compare -----------------------------------------------------------------------------------------------

    async def _compared(self, lease: Lease) -> Rebuilt:
        await self._begin(lease)
        while True:
            await self._catch_up(lease)
            try:
                if (tables := await self._at_one_position(lease)) is not None:
                    return Rebuilt(self._stands, self._done, tables)
            except LogUnavailable as outage:
                await self._wait(outage)

    async def _at_one_position(self, lease: Lease) -> tuple[Compared, ...] | None:
        """In a read-only transaction that sees both where they stand. None if too many events came meanwhile."""
        schema = self._beside.schema
        with unavailable(f"projection {self.projection.name}"):
            async with self.log.reading() as connection:
                driver = await driver_of(connection)
                if not await self._opened(lease, driver):
                    return None
                try:
                    self._tell("comparing")
                    tables = self._beside.tables
                    return tuple([await compare(driver, table, live=LIVE, replayed=schema) for table in tables])
                finally:
                    await driver.rollback()

    async def _opened(self, lease: Lease, reading: Driver) -> bool:
        """The live projection stands still only while the last events are replayed and the snapshot is taken."""
        async with self.log.engine.begin() as connection:
            live = await self._held(await driver_of(connection))
            events, after = await self._next(live)
            if len(events) > self.pace.while_held:
                return False
            if events:
                await self._apply(lease, events, after)
            await reading.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            for name in UNTIMED:
                await reading.execute(f"SET LOCAL {name} = 0")
            await reading.execute("SELECT 1")
        return True

    async def _held(self, driver: Driver) -> Position:
        """Where the live projection stands; it stays there until the transaction ends."""
        await driver.execute(f"SET LOCAL lock_timeout = {int(self.pace.lock_timeout_seconds * 1000)}")
        found = await (await driver.execute(HOLD_LIVE, (self.projection.name,))).fetchone()
        assert found is not None
        return position_of(*found)

    # ---- switch ------------------------------------------------------------------------------------------------

    async def _switch(self, lease: Lease) -> None:
        for _ in range(self.pace.switch_attempts):
            await self._catch_up(lease)
            try:
                if await self._switched(lease):
                    return
            except LogUnavailable as outage:  # a lock that was not free in time, or an outage
                if await self._is_over():
                    return
                await self._wait(outage)
        raise LiveInTheWay(f"the tables of projection {self.projection.name} were in use all the time")

    async def _switched(self, lease: Lease) -> bool:
        """One transaction; False if too many events came meanwhile."""
        with unavailable(f"projection {self.projection.name}"):
            async with self._translated.begin() as connection:
                await self._leases.hold(connection, lease)
                driver = await driver_of(connection)
                live = await self._held(driver)
                events, _ = await self._next(live)
                if len(events) > self.pace.while_held:
                    return False
                if events:
                    await self.projection.apply(connection, events)
                await self._beside.take_over(driver)
        self._done += len(events)
        return True

    async def _is_over(self) -> bool:
        """After an outage in the middle of a commit: did it happen?"""
        with contextlib.suppress(LogUnavailable):
            async with self.log.reading() as connection:
                asked = await (await driver_of(connection)).execute(IS_THERE, (self._beside.reader,))
                return await asked.fetchone() is None
        return False

    # ---- what it says ------------------------------------------------------------------------------------------

    async def _count(self, after: Position, until: Position) -> int:
        async with self.log.reading() as connection:
            asked: tuple[Any, ...] = (str(after.xid), after.number, str(until.xid), until.number)
            found = await (await (await driver_of(connection)).execute(COUNT, asked)).fetchone()
            return int(found[0]) if found else 0

    def _tell(self, stage: Stage) -> None:
        self.told(Progress(stage, self._done, max(self._total, self._done)))
