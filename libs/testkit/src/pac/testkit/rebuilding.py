"""The read side of deployments taken away and made anew, while somebody goes on reading it."""

import asyncio
import time
from collections.abc import Awaitable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import text

from pac.cli.bench.history import BEGAN, fill
from pac.deployments.projections import Deployments
from pac.deployments.queries import Figures, Queries, Thresholds
from pac.eventlog import EventLog, Projector
from pac.eventlog.rebuild import Rebuild
from pac.servicekit.memory import collecting_seldom
from pac.testkit.eventually import eventually
from pac.testkit.postgres import Database

LOOK_EVERY_SECONDS = 0.05
CHECKSUMS = {
    "deployments": "SELECT md5(string_agg(r::text, ',' ORDER BY id)) FROM read.deployments AS r",
    "counts": "SELECT md5(string_agg(r::text, ',' ORDER BY status)) FROM read.counts AS r",
    "minutes": "SELECT md5(string_agg(r::text, ',' ORDER BY minute)) FROM read.minutes AS r",
}
TABLES = (
    "SELECT array_agg(oid ORDER BY relname) FROM pg_class WHERE relnamespace = 'read'::regnamespace AND relkind = 'r'"
)


@dataclass(frozen=True)
class Seen:
    """Seconds of each way; `looks`: how often the old answer was read, and was the old answer, while `beside` ran."""

    events: int
    first: float
    emptied: float
    beside: float
    looks: int

    def rates(self) -> dict[str, int]:
        """Events a second."""
        seconds = {"first": self.first, "emptied": self.emptied, "beside": self.beside}
        return {name: int(self.events / taken) for name, taken in seconds.items()}


async def rebuilt_in_every_way(log: EventLog, database: Database, events: int) -> Seen:
    """Filled, read for the first time, emptied and read again, and made anew beside the live tables.

    AssertionError when a read model is another one afterwards, or when a reader of the live ones saw anything else.
    """
    done = await fill(database.superuser_url, events)
    await eventually(lambda: _readable(log))
    with collecting_seldom():  # as services and `pac projections` do
        return await _each_way(log, done)


async def _each_way(log: EventLog, events: int) -> Seen:
    projector = Projector(log, Deployments())
    first = await _timed(projector.rebuild())
    expected, answer = await checksums(log), await _answer(log)
    assert answer.completed > 0
    emptied = await _timed(projector.rebuild())
    assert await checksums(log) == expected, "emptied and read again, the read side is another one"
    tables = await _one(log, TABLES)
    looking = asyncio.create_task(_looks(log, answer))
    beside = await _timed(_rebuilt(log))
    looking.cancel()
    looks = 0
    with suppress(asyncio.CancelledError):
        looks = await looking
    assert await _one(log, TABLES) != tables, "nothing took the place of the old tables"
    assert await checksums(log) == expected, "made anew beside the live tables, the read side is another one"
    return Seen(events, first, emptied, beside, looks)


async def checksums(log: EventLog) -> Mapping[str, object]:
    return {name: await _one(log, statement) for name, statement in CHECKSUMS.items()}


async def _rebuilt(log: EventLog) -> None:
    rebuilt = await Rebuild(log, Deployments()).run()
    assert rebuilt.is_switched, [str(example) for table in rebuilt.tables for example in table.examples]


async def _looks(log: EventLog, expected: Figures) -> int:
    """How often, when it is cancelled."""
    looks = 0
    with suppress(asyncio.CancelledError):
        while True:
            assert await _answer(log) == expected, "the live tables said something else meanwhile"
            looks += 1
            await asyncio.sleep(LOOK_EVERY_SECONDS)
    return looks


async def _answer(log: EventLog) -> Figures:
    """What the API says of the queue, an hour after the history began."""
    return await Queries(log, Thresholds(), 4, Deployments().name).figures(BEGAN + timedelta(hours=1))


async def _readable(log: EventLog) -> bool:
    return await log.watermark_age_seconds() == 0


async def _one(log: EventLog, statement: str) -> object:
    async with log.engine.begin() as connection:
        return (await connection.execute(text(statement))).scalar_one()


async def _timed(work: Awaitable[None]) -> float:
    began = time.monotonic()
    await work
    return time.monotonic() - began
