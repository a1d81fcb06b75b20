"""Migrations: twice is once, two at once are safe."""

import asyncio
from typing import Any

import psycopg

from pac.eventlog.migrate import upgrade
from pac.testkit.postgres import Database, PostgresServer

TABLES = """
SELECT table_schema || '.' || table_name FROM information_schema.tables
WHERE table_schema IN ('log', 'state', 'read') ORDER BY 1
"""


async def tables(url: str) -> list[str]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        return [name for (name,) in await (await connection.execute(TABLES)).fetchall()]


async def test_upgrading_again_changes_nothing(database: Database) -> None:
    before = await tables(database.url)
    assert "log.events" in before
    await asyncio.to_thread(upgrade, database.url, "pac.eventlog")
    assert await tables(database.url) == before


async def test_two_processes_migrate_at_once(postgres: PostgresServer, database: Database) -> None:
    fresh: Any = await postgres.stack.create_database("migrated_by_two")
    try:
        await asyncio.gather(*(asyncio.to_thread(upgrade, fresh.migration_url, "pac.eventlog") for _ in range(3)))
        assert await tables(fresh.url) == await tables(database.url)
    finally:
        await postgres.stack.drop_database("migrated_by_two")
