"""Postgres away, or a caller that goes away: an OSError, and nothing left open."""

import asyncio
import os
import signal
from typing import Any
from uuid import uuid4

import psycopg
import pytest
import sqlalchemy.exc
from sqlalchemy import text

from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, LogUnavailable, create_engine, unavailable
from pac.testkit.eventually import eventually
from pac.testkit.postgres import Database

END_SESSIONS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()
"""
SESSIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = %s AND application_name <> 'pac-wake' AND pid <> pg_backend_pid()
"""
OPEN = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND xact_start IS NOT NULL AND pid <> pg_backend_pid()"


async def asked(database: Database, statement: str) -> int:
    async with await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True) as connection:
        found = await (await connection.execute(statement, (database.name,))).fetchone()
        assert found is not None
        return int(found[0])


async def nothing_open(database: Database) -> bool:
    return await asked(database, OPEN) == 0


async def test_a_session_ended_within_a_transaction_is_an_outage(
    event_log: EventLog, database: Database, example: Any
) -> None:
    app = uuid4()
    with pytest.raises(LogUnavailable):
        await _pin_while_sessions_end(event_log, database, example, app)
    assert (await event_log.load(example.decider, app)).is_empty


async def _pin_while_sessions_end(log: EventLog, database: Database, example: Any, app: Any) -> None:
    async with log.transaction(f"appstate-{app}", cause=example.cause) as tx:
        assert await asked(database, END_SESSIONS) >= 1
        await tx.decide(example.decider, app, example.pin(app))


async def test_sessions_ended_while_idle_are_not_noticed(event_log: EventLog, database: Database, example: Any) -> None:
    apps = [uuid4() for _ in range(5)]
    for _ in range(2):
        await asyncio.gather(
            *(event_log.execute(example.decider, app, example.pin(app), cause=example.cause) for app in apps)
        )
        await asked(database, END_SESSIONS)
        await eventually(lambda: no_sessions(database))
    assert [(await event_log.load(example.decider, app)).version for app in apps] == [2] * 5


async def no_sessions(database: Database) -> bool:
    """The log's two connections for wake-ups may be back already; those of the pool are not."""
    return await asked(database, SESSIONS) == 0


@pytest.mark.parametrize("how", ["DEALLOCATE ALL", "SET default_transaction_read_only = on"])
async def test_a_session_that_is_not_what_it_was_is_replaced(database: Database, example: Any, how: str) -> None:
    """After a failover, or behind a pooler: the statements are forgotten, the server is a standby by now."""
    log = EventLog(create_engine(database.url, pool_size=1), ServiceName.DEPLOYMENTS)
    app = uuid4()
    await log.execute(example.decider, app, example.pin(app), cause=example.cause)
    async with log.reading() as connection:
        await connection.execute(text(how))
    with pytest.raises(LogUnavailable):
        await log.execute(example.decider, app, example.pin(app), cause=example.cause)
    assert (await log.execute(example.decider, app, example.pin(app), cause=example.cause)).version == 2
    await log.close()


async def test_a_database_that_nobody_has_migrated_is_waited_for(event_log: EventLog, database: Database) -> None:
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        await connection.execute("ALTER TABLE log.events RENAME TO later")
        with pytest.raises(LogUnavailable, match="not migrated"):
            await event_log.check_cluster()
        await connection.execute("ALTER TABLE log.later RENAME TO events")
    await event_log.check_cluster()


async def test_the_text_of_a_fault_shows_no_values(event_log: EventLog) -> None:
    with pytest.raises(sqlalchemy.exc.ProgrammingError) as fault:
        async with event_log.reading() as connection:
            await connection.execute(text("INSERT INTO state.nowhere VALUES (:value)"), {"value": "secret-word"})
    assert "secret-word" not in str(fault.value)


async def test_closing_does_not_wait_for_a_server_that_hangs(event_log: EventLog, database: Database) -> None:
    async with asyncio.timeout(5):
        while not event_log.hears_others:
            await event_log.woken().wait(0.05)
    async with await psycopg.AsyncConnection.connect(database.superuser_url, autocommit=True) as connection:
        found = await connection.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = %s AND application_name = 'pac-wake'", (database.name,)
        )
        pids = [pid for (pid,) in await found.fetchall()]
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            async with asyncio.timeout(3):
                await event_log.close()
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)


async def test_a_pool_that_is_used_up_is_an_outage(database: Database) -> None:
    engine = create_engine(database.url, pool_size=1)
    engine.sync_engine.pool._timeout = 0.05  # type: ignore[attr-defined]
    log = EventLog(engine, ServiceName.DEPLOYMENTS)
    async with log.reading():
        with pytest.raises(LogUnavailable):
            await log.ping()
    await log.ping()
    await log.close()


async def test_a_server_that_is_not_there_is_an_outage() -> None:
    log = EventLog(create_engine("postgresql://pac:secret-word@127.0.0.1:1/none"), ServiceName.DEPLOYMENTS)
    with pytest.raises(LogUnavailable) as outage:
        await log.ping()
    assert "secret-word" not in str(outage.value)
    await log.close()


async def test_a_services_own_statement_can_be_guarded(event_log: EventLog) -> None:
    with pytest.raises(LogUnavailable):
        await _end_oneself(event_log)
    await event_log.ping()


async def _end_oneself(log: EventLog) -> None:
    with unavailable():
        async with log.engine.connect() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


@pytest.mark.parametrize("waits_in", ["the body", "a lock", "a statement"])
async def test_a_cancelled_transaction_leaves_nothing_open(
    event_log: EventLog, database: Database, example: Any, waits_in: str
) -> None:
    app = uuid4()
    reached = asyncio.Event()

    async def work() -> None:
        async with event_log.transaction(f"appstate-{app}", cause=example.cause) as tx:
            await tx.decide(example.decider, app, example.pin(app))
            reached.set()
            match waits_in:
                case "the body":
                    await asyncio.Event().wait()
                case "a lock":
                    await event_log.execute(example.decider, app, example.pin(app), cause=example.cause)
                case _:
                    await tx.execute(text("SELECT pg_sleep(4)"))

    working = asyncio.create_task(work())
    await reached.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    await eventually(lambda: nothing_open(database), seconds=3)
    assert (await event_log.execute(example.decider, app, example.pin(app), cause=example.cause)).version == 1


async def test_an_error_in_the_body_leaves_nothing_open(event_log: EventLog, database: Database, example: Any) -> None:
    for _ in range(30):  # more often than the pool has connections
        with pytest.raises(ZeroDivisionError):
            await _fail(event_log, example)
    await eventually(lambda: nothing_open(database), seconds=3)


async def _fail(log: EventLog, example: Any) -> None:
    async with log.transaction("appstate-1", cause=example.cause) as tx:
        await tx.execute(text("SELECT 1"))
        raise ZeroDivisionError


async def test_the_listener_comes_back_after_an_outage(
    event_log: EventLog, database: Database, event_log_of: Any, example: Any
) -> None:
    app = uuid4()
    other: EventLog = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    await eventually(lambda: event_log.woken().wait(0.5))
    assert await asked(database, END_SESSIONS) >= 1

    async def heard() -> bool:
        ticket = event_log.woken()
        await other.execute(example.decider, app, example.pin(app), cause=example.cause)
        return await ticket.wait(0.2)

    await eventually(heard)
