"""The race that decides how the log is written and read, and two obvious ways that lose it (docs: event log).

32 writers on 50 streams; each transaction writes an idempotency row, sleeps, appends, sleeps; 5 % roll back. A reader
follows meanwhile. The wrong ways must fail here: if they pass, the test has gone blind.
"""

import asyncio
import contextlib
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import psycopg
import pytest

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Position
from pac.eventlog.engine import lock_keys
from pac.eventlog.reading import READ
from pac.testkit.postgres import Database

WRITERS = 32
STREAMS = 50
ENOUGH = 500
SECONDS = 25.0

LOCK = "SELECT pg_advisory_xact_lock(key) FROM unnest(%s::bigint[]) AS key"
BY_POSITION_ONLY = """
SELECT xid::text, position, stream, version, data::text, metadata::text FROM log.events
WHERE %s::text IS NOT NULL AND position > %s ORDER BY position LIMIT %s
"""
APPEND = """
INSERT INTO log.events (stream, version, type, data, metadata, at, hash)
SELECT %s, coalesce(max(version), 0) + 1, 'Raced', '{}', '{}', now(), sha256('') FROM log.events WHERE stream = %s
"""
Connection = psycopg.AsyncConnection[tuple[Any, ...]]


@dataclass
class Race:
    """Writers and a reader, each the right way unless told otherwise."""

    database: Database
    lock_first: bool = True
    read: str = READ
    committed: int = 0
    seen: list[tuple[str, int]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    written: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> "Race":
        reading = asyncio.create_task(self._reader())
        async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as writers:
            for seed in range(WRITERS):
                writers.create_task(self._writer(random.Random(seed)))  # noqa: S311 - repeatable on purpose
        self.written.set()
        await reading
        return self

    def count(self) -> None:
        self.committed += 1
        if self.committed >= ENOUGH:
            self.over.set()

    @property
    def missed(self) -> int:
        return self.committed - len(set(self.seen))

    @property
    def inverted(self) -> int:
        newest: dict[str, int] = defaultdict(int)
        count = 0
        for stream, version in self.seen:
            count += version < newest[stream]
            newest[stream] = max(newest[stream], version)
        return count

    async def _writer(self, chance: random.Random) -> None:
        async with await self._connected() as connection:
            while not self.over.is_set():
                stream = f"race-{chance.randrange(STREAMS)}"
                try:
                    await self._append(connection, stream, chance)
                except psycopg.errors.UniqueViolation:
                    await connection.rollback()

    async def _append(self, connection: Connection, stream: str, chance: random.Random) -> None:
        if self.lock_first:
            await connection.execute(LOCK, (lock_keys([stream]),))
        heard = f"race-{chance.getrandbits(60)}"
        await connection.execute("INSERT INTO log.inbox VALUES ('race', 'race', %s, 1)", (heard,))
        await asyncio.sleep(chance.uniform(0, 0.004))
        if not self.lock_first:
            await connection.execute(LOCK, (lock_keys([stream]),))
        await connection.execute(APPEND, (stream, stream))
        await asyncio.sleep(chance.uniform(0, 0.008))
        if chance.random() < 0.05:
            await connection.rollback()
        else:
            await connection.commit()
            self.count()

    async def _reader(self) -> None:
        async with await self._connected() as connection:
            await connection.set_autocommit(True)
            xid, position = "0", 0
            while True:
                last = self.written.is_set()
                rows = await (await connection.execute(self.read, (xid, position, 500))).fetchall()
                if rows:
                    xid, position = rows[-1][0], rows[-1][1]
                    self.seen += [(row[2], row[3]) for row in rows]
                elif last:
                    return
                else:
                    await asyncio.sleep(0.002)

    async def _connected(self) -> Connection:
        return await psycopg.AsyncConnection.connect(self.database.url)


@pytest.fixture
async def raced(database_of: Any) -> Database:
    database: Database = await database_of(laws=False)
    return database


async def test_the_logs_way_misses_nothing_and_inverts_nothing(raced: Database) -> None:
    race = await Race(raced).run()
    assert (race.missed, race.inverted) == (0, 0)


class RaceOfTheLog(Race):
    """The same with EventLog itself: its inbox row is the idempotency row."""

    log: EventLog
    example: Any

    async def _append(self, _: Connection, stream: str, chance: random.Random) -> None:
        app = UUID(int=int(stream.partition("-")[2]))
        message = self.example.message(UUID(int=chance.getrandbits(120)), 1)
        with contextlib.suppress(ZeroDivisionError):
            async with self.log.transaction(f"appstate-{app}", cause=message) as tx:
                await asyncio.sleep(chance.uniform(0, 0.004))
                await tx.decide(self.example.decider, app, self.example.pin(app))
                await asyncio.sleep(chance.uniform(0, 0.008))
                if chance.random() < 0.05:
                    raise ZeroDivisionError
            self.count()

    async def _reader(self) -> None:
        position = Position()
        while True:
            last = self.written.is_set()
            batch = await self.log.read(position, 500)
            if batch:
                position = batch[-1][0]
                self.seen += [(envelope.stream, envelope.version) for _, envelope in batch]
            elif last:
                return
            else:
                await asyncio.sleep(0.002)


async def test_an_event_log_misses_nothing_and_inverts_nothing(
    database: Database, event_log_of: Any, example: Any
) -> None:
    race = RaceOfTheLog(database)
    race.log = await event_log_of(ServiceName.DEPLOYMENTS, database=database, pool_size=WRITERS + 1)
    race.example = example
    await race.run()
    assert (race.missed, race.inverted) == (0, 0)


async def test_a_reader_by_position_only_misses_events(raced: Database) -> None:
    race = await Race(raced, lock_first=False, read=BY_POSITION_ONLY).run()
    assert race.missed > 0


async def test_a_writer_that_locks_after_its_first_write_inverts_streams(raced: Database) -> None:
    race = await Race(raced, lock_first=False).run()
    assert race.missed == 0
    assert race.inverted > 0
