"""Readers walk the log with a checkpoint. A projection's rows and its checkpoint change in one transaction."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import structlog
from sqlalchemy import Table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.eventlog import checkpoints
from pac.eventlog.crashpoints import reach
from pac.eventlog.engine import unavailable
from pac.eventlog.log import EventLog
from pac.eventlog.metrics import PROJECTION_LAG
from pac.eventlog.types import Conflict, LogUnavailable, Placed, Position

logger = structlog.get_logger(__name__)

SHORTEST_POLL_SECONDS = 0.002
LONGEST_POLL_SECONDS = 0.25
IDLE_POLL_SECONDS = 1.0  # when nothing has come for a while, and commits of others are heard
IDLE_AFTER_SECONDS = 5.0
OUTAGE_SECONDS = 0.5
MEASURE_EVERY_SECONDS = 5.0
REBUILD_BATCH = 10_000


class Reader(Protocol):
    """Runs until cancelled; whoever runs it restarts it with backoff when it raises."""

    @property
    def name(self) -> str: ...

    async def run(self) -> None: ...


class Projection(Protocol):
    """Tables of schema `read` that are a fold of the log. `apply` folds a batch in memory and writes set-wise."""

    @property
    def name(self) -> str: ...

    @property
    def tables(self) -> tuple[Table, ...]: ...

    async def apply(self, tx: AsyncConnection, batch: Sequence[Placed]) -> None: ...


async def keep_reading(
    log: EventLog,
    step: Callable[[], Awaitable[bool]],
    measure: Callable[[], Awaitable[None]],
    *,
    idle_after_seconds: float = IDLE_AFTER_SECONDS,
) -> None:
    """Steps as long as there is something; then waits to be woken, and looks by itself.

    Right after a wake-up it looks often: what was committed may still be hidden by an older transaction in flight.
    """
    loop = asyncio.get_running_loop()
    measured, pause, stirred = 0.0, SHORTEST_POLL_SECONDS, loop.time()
    while True:
        ticket = log.woken()
        try:
            if loop.time() - measured > MEASURE_EVERY_SECONDS:  # first: what fails at each step is behind, too
                measured = loop.time()
                await measure()
            moved = await step()
        except Conflict:
            moved = False
        except LogUnavailable as outage:
            logger.warning("reader_waits_for_postgres", reason=str(outage))
            await asyncio.sleep(OUTAGE_SECONDS)
            continue
        if moved or await ticket.wait(pause):
            pause, stirred = SHORTEST_POLL_SECONDS, loop.time()
            continue
        idle = log.hears_others and loop.time() - stirred > idle_after_seconds
        pause = min(pause * 2, IDLE_POLL_SECONDS if idle else LONGEST_POLL_SECONDS)


class Projector:
    """Keeps one projection up. Any number of replicas may run it: a batch is applied by exactly one of them."""

    def __init__(self, log: EventLog, projection: Projection, *, batch_size: int = 500) -> None:
        self.name = projection.name
        self._log = log
        self._projection = projection
        self._batch_size = batch_size
        self._stands: Position | None = None

    async def run(self) -> None:
        await keep_reading(self._log, self.step, self._measure)

    async def step(self, size: int | None = None) -> bool:
        """Applies the next batch; False if there was none."""
        if self._stands is None:
            self._stands = await checkpoints.position_in(self._log, self.name)
        # Read before the transaction is opened: an open one that has an xid would hold up every other reader.
        batch, after = await self._log.events(self._stands, size or self._batch_size)
        if not batch:
            return False
        before = self._stands
        self._stands = None  # whatever happens until the commit has succeeded, it is to be read again
        with unavailable(f"projection {self.name}"):
            async with self._log.engine.begin() as connection:
                if not await checkpoints.move(connection, self.name, before, after):
                    return True
                await self._projection.apply(connection, batch)
                reach("projection.before_commit")
        reach("projection.after_commit")
        self._stands = after
        return True

    async def rebuild(self) -> None:
        """Empties the tables and reads the whole log again; until it ends, the tables show less than there is."""
        goal = await checkpoints.newest_in(self._log)
        with unavailable(f"projection {self.name}"):
            async with self._log.engine.begin() as connection:
                await checkpoints.reset(connection, self.name)
                quoted = connection.dialect.identifier_preparer
                for table in self._projection.tables:
                    await connection.execute(text(f"TRUNCATE {quoted.format_table(table)}"))
        self._stands = None
        while (await self.stands()) < goal:
            await self.step(REBUILD_BATCH)

    async def stands(self) -> Position:
        """Where its tables are: everything up to there is in them."""
        return self._stands or await checkpoints.position_in(self._log, self.name)

    async def _measure(self) -> None:
        PROJECTION_LAG.labels(self.name).set(await self._log.backlog_seconds(self.name))
