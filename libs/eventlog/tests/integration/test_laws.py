"""The log says so when it is not what was written any more, or not of this cluster."""

import asyncio
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, ForeignXids, Position, checkpoints
from pac.eventlog.rebase import rebase
from pac.testkit.eventually import eventually
from pac.testkit.laws import broken_laws
from pac.testkit.postgres import Database

TAMPERED = (
    ("data = jsonb_set(data, '{deployment_id}', to_jsonb(gen_random_uuid()::text))", "hash does not follow"),
    ("data = data || '{\"more\": 1}'", "hash does not follow"),
    ("metadata = jsonb_set(metadata, '{actor}', '\"key-2\"')", "hash does not follow"),
    ("type = 'AppReleased'", "hash does not follow"),
    ("at = at + interval '1 microsecond'", "hash does not follow"),
    ("hash = sha256(hash)", "hash does not follow"),
    ("stream = 'appstate-other'", "expected version"),
    ("version = 9", "expected version"),
    ("xid = '5'", "readers meet it before"),
)


@pytest.fixture
async def broken(database_of: Any, event_log_of: Any, example: Any) -> Database:
    """A log whose laws are not checked at the end."""
    database: Database = await database_of(laws=False)
    log: EventLog = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    app = uuid4()
    await log.execute(example.decider, app, example.pin(app), cause=example.cause)
    await log.execute(example.decider, app, example.pin(app, times=2), cause=example.cause)
    assert await broken_laws(database.url) == []
    return database


async def change(database: Database, change_of_row: str, *, where: str = "version = 2") -> None:
    async with await psycopg.AsyncConnection.connect(database.url) as connection:
        await connection.execute("ALTER TABLE log.events DISABLE TRIGGER only_added_to")
        await connection.execute(f"UPDATE log.events SET {change_of_row} WHERE {where}")  # noqa: S608 - ours
        await connection.execute("ALTER TABLE log.events ENABLE TRIGGER only_added_to")


@pytest.mark.parametrize(("how", "fault"), TAMPERED)
async def test_a_changed_row_is_found(broken: Database, how: str, fault: str) -> None:
    await change(broken, how)
    faults = await broken_laws(broken.url)
    assert any(fault in found for found in faults), faults


@pytest.mark.parametrize("how", ["UPDATE log.events SET type = 'X'", "DELETE FROM log.events", "TRUNCATE log.events"])
async def test_events_are_only_added(broken: Database, how: str) -> None:
    async with await psycopg.AsyncConnection.connect(broken.url) as connection:
        with pytest.raises(psycopg.errors.RaiseException, match="only added to"):
            await connection.execute(how)


async def test_a_log_restored_from_another_cluster_is_refused(
    database: Database, database_of: Any, event_log_of: Any, example: Any
) -> None:
    good: EventLog = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    await good.check_cluster()
    foreign = await database_of(laws=False)
    log: EventLog = await event_log_of(ServiceName.DEPLOYMENTS, database=foreign)
    app = uuid4()
    await log.execute(example.decider, app, example.pin(app, times=3), cause=example.cause)
    await change(foreign, "xid = '999999999'")
    with pytest.raises(ForeignXids, match="pac log rebase deployments"):
        await log.check_cluster()


async def readable(log: EventLog) -> bool:
    """Nothing older is in flight, in whatever database of this cluster."""
    return await log.watermark_age_seconds() == 0


async def test_a_rebased_log_is_read_on_from_where_its_readers_stood(
    database_of: Any, event_log_of: Any, example: Any
) -> None:
    database = await database_of()
    log: EventLog = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    apps = [uuid4() for _ in range(4)]
    for app in apps * 3:
        await log.execute(example.decider, app, example.pin(app), cause=example.cause)
    await eventually(lambda: readable(log))
    order = [(envelope.stream, envelope.version) for _, envelope in await log.read(Position(), 100)]
    stands = (await log.read(Position(), 5))[-1][0]
    async with log.engine.begin() as connection:
        await checkpoints.reset(connection, "relay")
        assert await checkpoints.move(connection, "relay", Position(), stands)
    await change(database, "xid = (xid::text::bigint + 900000000)::text::xid8", where="true")
    async with log.engine.begin() as connection:
        moved = Position(stands.xid + 900_000_000, stands.number)
        assert await checkpoints.move(connection, "relay", stands, moved)
    assert await log.read(Position(), 100) == []
    await asyncio.to_thread(rebase, database.url)
    await eventually(lambda: readable(log))
    await log.check_cluster()
    rest = await log.read(await checkpoints.position_in(log, "relay"), 100)
    assert [(envelope.stream, envelope.version) for _, envelope in rest] == order[5:]
    await log.execute(example.decider, apps[0], example.pin(apps[0]), cause=example.cause)
    await eventually(lambda: readable(log))
    assert (await log.read(rest[-1][0], 100))[0][1].version == 4
