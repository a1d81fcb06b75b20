"""Rebuilds beside the live projection on a real Postgres: same rows, nobody notices, nothing is left halfway."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, Text, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Placed, Projector, create_engine
from pac.eventlog.beside import WritesByHand
from pac.eventlog.derived import Derived
from pac.eventlog.rebuild import LiveInTheWay, Pace, Progress, Rebuild, RebuildBusy
from pac.eventlog.soundness import soundness_of
from pac.testkit.eventually import eventually
from pac.testkit.postgres import Database

METADATA = MetaData(schema="read")
COUNTS = Table("counts", METADATA, Column("stream", Text, primary_key=True), Column("events", Integer))
TOTALS = Table("totals", METADATA, Column("type", Text, primary_key=True), Column("events", Integer))
STATEMENTS = (
    """
    CREATE TABLE read.counts (stream text, events int NOT NULL CONSTRAINT at_least_one CHECK (events > 0),
        CONSTRAINT one_row_per_stream PRIMARY KEY (stream))
    """,
    "CREATE INDEX busiest_first ON read.counts (events DESC) WHERE events > 1",
    "CREATE TABLE read.totals (type text PRIMARY KEY, events int NOT NULL)",
    "GRANT SELECT ON read.counts TO PUBLIC",
)


class Counts:
    """Events per stream and per type. Not idempotent on purpose, so that anything applied twice shows."""

    name = "counts"
    tables = (COUNTS, TOTALS)

    def __init__(self, *, seconds_per_event: float = 0.0) -> None:
        self.sizes: list[int] = []
        self.seconds_per_event = seconds_per_event

    async def apply(self, tx: AsyncConnection, batch: Sequence[Placed]) -> None:
        self.sizes.append(len(batch))
        await asyncio.sleep(self.seconds_per_event * len(batch))
        for table, key, names in (
            (COUNTS, "stream", [self.stream_of(placed) for placed in batch]),
            (TOTALS, "type", [placed.event.type for placed in batch]),
        ):
            rows = [{key: name, "events": number} for name, number in sorted(Counter(names).items())]
            write = insert(table)
            added = {"events": table.c.events + write.excluded.events}
            await tx.execute(write.on_conflict_do_update(index_elements=[key], set_=added), rows)

    def stream_of(self, placed: Placed) -> str:
        return placed.stream


class Mistaken(Counts):
    """Counts the third event of every stream for another one."""

    def stream_of(self, placed: Placed) -> str:
        return "appstate-mistaken" if placed.version == 3 else placed.stream


class ByHand(Counts):
    """Would write into the live tables whatever it is told."""

    async def apply(self, tx: AsyncConnection, batch: Sequence[Placed]) -> None:  # noqa: ARG002 - a mutant
        await tx.execute(text("UPDATE read.counts SET events = events + 1"))


QUICK = replace(Pace(), pause_seconds=0.01, lease_seconds=2.0)
SMALL = replace(QUICK, first=10, largest=10, while_held=0)
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'read' ORDER BY indexname"
SHAPE = """
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'read'::regnamespace
UNION SELECT relname, relacl::text FROM pg_class WHERE relnamespace = 'read'::regnamespace AND relacl IS NOT NULL
ORDER BY 1
"""
OIDS = "SELECT oid FROM pg_class WHERE relnamespace = 'read'::regnamespace AND relkind = 'r' ORDER BY oid"
LEFTOVERS = """
SELECT nspname FROM pg_namespace WHERE nspname LIKE '%__v2'
UNION SELECT reader FROM log.checkpoints WHERE reader LIKE '%__v2'
"""


PROGRAM = "import asyncio, sys, test_rebuild; asyncio.run(test_rebuild.rebuild_slowly(sys.argv[1]))"


async def rebuild_slowly(url: str) -> None:
    """What a process does that is killed meanwhile."""
    log = EventLog(create_engine(url), ServiceName.DEPLOYMENTS)
    rebuild = Rebuild(log, Counts(seconds_per_event=0.02), lambda p: print(p.stage, flush=True), SMALL)  # noqa: T201 - to the test
    await rebuild.run()


@pytest.fixture
async def log(event_log: EventLog) -> EventLog:
    async with event_log.engine.begin() as connection:
        for statement in STATEMENTS:
            await connection.execute(text(statement))
    return event_log


async def rows(log: EventLog, statement: str) -> list[Any]:
    async with log.reading() as connection:
        return [tuple(row) for row in await connection.execute(text(statement))]


async def counts_in(log: EventLog) -> dict[str, int]:
    return dict(await rows(log, "SELECT stream, events FROM read.counts"))


async def readable(log: EventLog) -> bool:
    return await log.watermark_age_seconds() == 0


async def written(log: EventLog, example: Any, apps: Sequence[UUID], times: int) -> None:
    for app in apps:
        await log.execute(example.decider, app, example.pin(app, times), cause=example.cause)
    await eventually(lambda: readable(log))


async def projected(log: EventLog) -> Projector:
    projector = Projector(log, Counts())
    while await projector.step():
        pass
    return projector


@asynccontextmanager
async def going_on(*work: Any) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
        assert not any(task.done() for task in tasks), "what goes on beside a rebuild has not failed"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_rebuild_under_concurrent_appends_equals_the_live_one_and_takes_its_place(
    log: EventLog, example: Any
) -> None:
    apps = [uuid4() for _ in range(8)]
    await written(log, example, apps, times=100)
    projector = await projected(log)
    seen: list[int] = []

    async def append(app: UUID) -> None:
        while True:
            await log.execute(example.decider, app, example.pin(app), cause=example.cause)

    async def look() -> None:
        while True:
            seen.append(sum((await counts_in(log)).values()))
            await asyncio.sleep(0.001)

    before, indexes, shape = await rows(log, OIDS), await rows(log, INDEXES), await rows(log, SHAPE)
    async with going_on(projector.run(), look(), *map(append, apps)):
        await eventually(lambda: bool(seen) and seen[-1] > 900)
        found = await Rebuild(log, Counts(), pace=replace(QUICK, first=50, largest=50)).run()
        at_switch = len(seen)
        await eventually(lambda: len(seen) > at_switch + 10)
    assert found.is_same
    assert found.is_switched
    assert [table.table for table in found.tables] == ["read.counts", "read.totals"]
    assert found.tables[0].rows == 8
    assert found.events > 900
    assert seen == sorted(seen), "readers never saw less than before"
    assert not set(before) & set(await rows(log, OIDS)), "the tables are new ones"
    assert (await rows(log, INDEXES), await rows(log, SHAPE)) == (indexes, shape), "under the old names"
    assert await rows(log, LEFTOVERS) == []
    await eventually(lambda: readable(log))
    await projected(log)
    assert await counts_in(log) == dict(await rows(log, "SELECT stream, max(version) FROM log.events GROUP BY stream"))


async def test_a_projection_that_is_wrong_is_caught_and_does_not_take_over(log: EventLog, example: Any) -> None:
    app, other = uuid4(), uuid4()
    await written(log, example, [app], times=5)
    await written(log, example, [other], times=2)
    await projected(log)
    found = await Rebuild(log, Mistaken(), pace=SMALL).run()
    assert not found.is_same
    assert not found.is_switched
    assert [(table.table, table.differing) for table in found.tables] == [("read.counts", 2), ("read.totals", 0)]
    assert {str(one) for one in found.tables[0].examples} == {
        f"read.counts stream=appstate-{app}: events is 5, a replay has 4",
        "read.counts stream=appstate-mistaken: missing, a replay has it",
    }
    assert await counts_in(log) == {f"appstate-{app}": 5, f"appstate-{other}": 2}
    assert await rows(log, LEFTOVERS) == []
    assert (await Rebuild(log, Mistaken(), pace=SMALL).run(accept_differences=True)).is_switched
    assert await counts_in(log) == {f"appstate-{app}": 4, "appstate-mistaken": 1, f"appstate-{other}": 2}


async def test_rows_that_a_replay_does_not_have_are_named(log: EventLog, example: Any) -> None:
    await written(log, example, [uuid4()], times=1)
    await projected(log)
    async with log.engine.begin() as connection:
        await connection.execute(COUNTS.insert().values(stream="appstate-invented", events=1))
    found = await Rebuild(log, Counts(), pace=SMALL).check()
    assert [str(one) for one in found.tables[0].examples] == ["read.counts stream=appstate-invented: not in a replay"]


async def test_a_check_leaves_the_live_tables_alone(log: EventLog, example: Any) -> None:
    await written(log, example, [uuid4()], times=30)
    await projected(log)
    before = await rows(log, OIDS)
    found = await Rebuild(log, Counts(), pace=SMALL).check()
    assert found.is_same
    assert not found.is_switched
    assert found.events == 30
    assert await rows(log, OIDS) == before


async def test_a_second_rebuild_at_once_is_refused(log: EventLog, example: Any) -> None:
    await written(log, example, [uuid4()], times=100)
    await projected(log)
    begun = asyncio.Event()
    first = asyncio.create_task(Rebuild(log, Counts(seconds_per_event=0.005), lambda _: begun.set(), SMALL).run())
    await begun.wait()
    with pytest.raises(RebuildBusy, match="counts"):
        await Rebuild(log, Counts(), pace=SMALL).run()
    assert (await first).is_switched
    assert (await Rebuild(log, Counts(), pace=SMALL).run()).is_switched, "one after the other is fine"


async def test_a_cancelled_rebuild_leaves_nothing_behind(log: EventLog, example: Any) -> None:
    await written(log, example, [uuid4()], times=200)
    await projected(log)
    before, live, begun = await rows(log, OIDS), await counts_in(log), asyncio.Event()
    rebuild = Rebuild(log, Counts(seconds_per_event=0.005), lambda _: begun.set(), SMALL)
    task = asyncio.create_task(rebuild.run())
    await begun.wait()
    assert await rows(log, LEFTOVERS) != []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await rows(log, LEFTOVERS) == []
    assert (await rows(log, OIDS), await counts_in(log)) == (before, live)
    assert (await Rebuild(log, Counts(), pace=SMALL).run()).is_switched


async def test_a_killed_rebuild_leaves_the_live_one_and_the_next_begins_anew(
    log: EventLog, database: Database, example: Any
) -> None:
    await written(log, example, [uuid4()], times=200)
    await projected(log)
    before, live = await rows(log, OIDS), await counts_in(log)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, database.url, cwd=Path(__file__).parent, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"replaying")
    process.kill()
    await process.communicate()
    assert (await rows(log, OIDS), await counts_in(log)) == (before, live)
    assert sorted(await rows(log, LEFTOVERS)) == [("counts__v2",)]

    async def lease_ended() -> Any:
        try:
            return await Rebuild(log, Counts(), pace=SMALL).run()
        except RebuildBusy:
            return None

    found = await eventually(lease_ended)
    assert found.is_switched
    assert found.events == 200
    assert await counts_in(log) == live
    assert await rows(log, LEFTOVERS) == []


async def test_a_switch_gives_way_to_who_reads_and_comes_back(log: EventLog, example: Any) -> None:
    await written(log, example, [uuid4()], times=5)
    await projected(log)
    impatient = replace(SMALL, lock_timeout_seconds=0.05, switch_attempts=2)
    stages: list[str] = []

    def told(progress: Progress) -> None:
        stages.append(progress.stage)

    async with log.engine.begin() as connection:
        await connection.execute(text("SELECT FROM read.counts"))
        with pytest.raises(LiveInTheWay):
            await Rebuild(log, Counts(), pace=impatient).run()
        waiting = asyncio.create_task(Rebuild(log, Counts(), told, replace(impatient, switch_attempts=1000)).run())
        await eventually(lambda: "switching" in stages)
        assert sum((await counts_in(log)).values()) == 5, "others read meanwhile"
    assert (await waiting).is_switched


async def test_a_slow_projection_gets_smaller_chunks(log: EventLog, example: Any) -> None:
    await written(log, example, [uuid4()], times=400)
    await projected(log)
    projection = Counts(seconds_per_event=0.001)
    pace = replace(QUICK, chunk_seconds=0.1, first=100, smallest=10, while_held=0)
    await Rebuild(log, projection, pace=pace).check()
    assert projection.sizes[0] == 100
    assert min(projection.sizes[:-1]) <= 50


async def test_a_projection_that_names_its_live_table_by_hand_is_refused(log: EventLog, example: Any) -> None:
    await written(log, example, [uuid4()], times=5)
    await projected(log)
    live = await counts_in(log)
    with pytest.raises(WritesByHand):
        await Rebuild(log, ByHand(), pace=SMALL).run()
    assert await counts_in(log) == live


async def test_a_sound_service_has_no_faults_and_a_changed_row_and_a_broken_law_are_named(
    log: EventLog, example: Any
) -> None:
    app = uuid4()
    await written(log, example, [app, uuid4()], times=5)
    await projected(log)
    laws: list[str] = []

    async def law(_: Any) -> list[str]:
        return laws

    derived = Derived(deciders=(example.decider,), projections=(Counts(),), laws=(law,))
    sound = await soundness_of(log, derived, lambda _: None)
    assert (sound.events, sound.streams, sound.faults) == (10, 2, ())
    async with log.engine.begin() as connection:
        await connection.execute(COUNTS.update().where(COUNTS.c.stream == f"appstate-{app}").values(events=6))
    laws.append("the law is broken")
    faults = (await soundness_of(log, derived, lambda _: None)).faults
    assert faults == ("the law is broken", f"read.counts stream=appstate-{app}: events is 6, a replay has 5")
