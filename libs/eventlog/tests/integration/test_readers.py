"""Projections on a real Postgres: each event applied once, by whichever replica; rebuilt to the same rows."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Placed, Projector
from pac.eventlog.readers import keep_reading
from pac.testkit.eventually import eventually
from pac.testkit.postgres import Database

COUNTS = Table("counts", MetaData(schema="read"), Column("stream", Text, primary_key=True), Column("events", Integer))


class Counts:
    """read.counts: not idempotent on purpose, so that anything applied twice shows."""

    name = "counts"
    tables = (COUNTS,)

    def __init__(self, *, dies_at: int = 0) -> None:
        self.batches, self.dies_at = 0, dies_at

    async def apply(self, tx: AsyncConnection, batch: Sequence[Placed]) -> None:
        rows = [{"stream": stream, "events": n} for stream, n in Counter(placed.stream for placed in batch).items()]
        statement = insert(COUNTS)
        added = {"events": COUNTS.c.events + statement.excluded.events}
        await tx.execute(statement.on_conflict_do_update(index_elements=["stream"], set_=added), rows)
        self.batches += 1
        if self.batches == self.dies_at:
            raise ZeroDivisionError


async def rows_in(log: EventLog) -> dict[str, int]:
    async with log.reading() as connection:
        return {row.stream: row.events for row in await connection.execute(COUNTS.select())}


@pytest.fixture
async def log(event_log: EventLog) -> EventLog:
    async with event_log.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE read.counts (stream text PRIMARY KEY, events int)"))
    return event_log


async def readable(log: EventLog) -> bool:
    """Nothing older is in flight, in whatever database of this cluster."""
    return await log.watermark_age_seconds() == 0


async def written(log: EventLog, example: Any, apps: Sequence[UUID], times: int) -> None:
    for _ in range(times):
        await asyncio.gather(
            *(log.execute(example.decider, app, example.pin(app), cause=example.cause) for app in apps)
        )
    await eventually(lambda: readable(log))


async def test_two_replicas_apply_every_event_once(
    log: EventLog, database: Database, event_log_of: Any, example: Any
) -> None:
    other = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    apps = [uuid4() for _ in range(8)]
    replicas = [asyncio.create_task(Projector(each, Counts(), batch_size=3).run()) for each in (log, log, other)]
    await written(log, example, apps, times=10)
    expected = {f"appstate-{app}": 10 for app in apps}

    async def complete(connection: AsyncConnection) -> bool | None:
        total = await connection.scalar(text("SELECT sum(events) FROM read.counts"))
        return True if total is not None and total >= 80 else None

    assert await log.wait_for(complete, timeout_seconds=10)
    for replica in replicas:
        replica.cancel()
    await asyncio.gather(*replicas, return_exceptions=True)
    assert await rows_in(log) == expected


async def test_a_rebuild_gives_the_same_rows(log: EventLog, example: Any) -> None:
    projector = Projector(log, Counts(), batch_size=7)
    await written(log, example, [uuid4() for _ in range(5)], times=6)
    while await projector.step():
        pass
    live = await rows_in(log)
    assert sum(live.values()) == 30
    async with log.engine.begin() as connection:
        await connection.execute(COUNTS.update().values(events=99))
    await projector.rebuild()
    assert await rows_in(log) == live


async def test_rows_and_checkpoint_move_together_or_not_at_all(log: EventLog, example: Any) -> None:
    await written(log, example, [uuid4()], times=6)
    projector = Projector(log, Counts(dies_at=2), batch_size=2)
    assert await projector.step()
    stands = await projector.stands()
    with pytest.raises(ZeroDivisionError):
        await projector.step()
    assert sum((await rows_in(log)).values()) == 2
    assert await projector.stands() == stands
    after_restart = Projector(log, Counts())
    while await after_restart.step():
        pass
    assert sum((await rows_in(log)).values()) == 6


async def test_a_reader_waits_for_an_older_transaction_and_then_sees_both(log: EventLog, example: Any) -> None:
    slow, quick = uuid4(), uuid4()
    async with log.transaction(f"appstate-{slow}", cause=example.cause) as tx:
        await tx.decide(example.decider, slow, example.pin(slow))
        await log.execute(example.decider, quick, example.pin(quick), cause=example.cause)
        projector = Projector(log, Counts())
        assert not await projector.step()
        assert await log.watermark_age_seconds() > 0
        assert await log.backlog_seconds("counts") > 0
    await eventually(lambda: readable(log))
    assert await projector.step()
    assert set(await rows_in(log)) == {f"appstate-{slow}", f"appstate-{quick}"}
    assert await log.backlog_seconds("counts") == 0


async def test_waiting_ends_at_another_process_commit(
    event_log: EventLog, database: Database, event_log_of: Any, example: Any
) -> None:
    app = uuid4()
    other = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    probes = 0

    async def probe(connection: AsyncConnection) -> int | None:
        nonlocal probes
        probes += 1
        asked = text("SELECT version FROM log.events WHERE stream = :stream")
        version: int | None = await connection.scalar(asked, {"stream": f"appstate-{app}"})
        return version

    waiting = asyncio.create_task(event_log.wait_for(probe, timeout_seconds=10))
    await eventually(lambda: probes >= 3)
    await other.execute(example.decider, app, example.pin(app), cause=example.cause)
    assert await waiting == 1
    assert await event_log.wait_for(probe, timeout_seconds=0) == 1


async def test_a_notification_of_another_process_wakes_at_once(
    event_log: EventLog, database: Database, event_log_of: Any, example: Any
) -> None:
    app = uuid4()
    other = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    async with asyncio.timeout(5):
        while not await event_log.woken().wait(0.5):  # the listener says so once it listens
            pass
    ticket = event_log.woken()
    await other.execute(example.decider, app, example.pin(app), cause=example.cause)
    assert await ticket.wait(2)


async def listening(log: EventLog) -> None:
    async with asyncio.timeout(5):
        while not log.hears_others:
            await log.woken().wait(0.05)


async def test_a_change_of_rows_alone_wakes_other_processes_if_it_says_so(
    event_log: EventLog, database: Database, event_log_of: Any, example: Any
) -> None:
    other = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    await listening(event_log)
    await listening(other)  # it wakes everybody when it begins
    ticket, own = event_log.woken(), other.woken()
    async with other.transaction(cause=example.cause) as tx:
        tx.wake()
        assert not own.event.is_set(), "before the commit there is nothing to see"
    assert own.event.is_set()
    assert await ticket.wait(2)
    quiet = other.woken()
    async with other.transaction(cause=example.cause):
        pass
    assert not quiet.event.is_set()


async def test_an_idle_reader_looks_seldom_and_is_woken_at_once(event_log: EventLog, example: Any) -> None:
    await listening(event_log)
    app, looked, found = uuid4(), 0, asyncio.Event()

    async def step() -> bool:
        nonlocal looked
        looked += 1
        if not (await event_log.load(example.decider, app)).is_empty:
            found.set()
        return False

    async def measure() -> None:
        pass

    reading = asyncio.create_task(keep_reading(event_log, step, measure, idle_after_seconds=0.0))
    await eventually(lambda: looked >= 9)  # 2 ms, 4 ms … 256 ms
    await event_log.execute(example.decider, app, example.pin(app), cause=example.cause)
    async with asyncio.timeout(0.2):
        await found.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)


async def test_waiting_for_what_never_comes_ends_in_time_or_when_released(event_log: EventLog) -> None:
    async def nothing(_: AsyncConnection) -> int | None:
        return None

    assert await event_log.wait_for(nothing, timeout_seconds=0.05) is None
    waiting = asyncio.create_task(event_log.wait_for(nothing, timeout_seconds=60))
    await asyncio.sleep(0)
    event_log.release_waiters()
    async with asyncio.timeout(5):
        assert await waiting is None
