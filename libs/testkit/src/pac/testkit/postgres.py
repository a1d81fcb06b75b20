"""One real PostgreSQL for a test run; a fresh, migrated database for each test; the log's laws after each test."""

import asyncio
import itertools
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest_asyncio
from psycopg.sql import SQL, Identifier

from pac.cli.local.stack import LocalStack
from pac.contracts.topics import ServiceName
from pac.eventlog.engine import create_engine
from pac.eventlog.log import EventLog
from pac.eventlog.migrate import upgrade
from pac.testkit.laws import broken_laws

Closer = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Database:
    """A database of one test. `url` is the service's role, with its timeouts; `superuser_url` the operator's."""

    name: str
    url: str = field(repr=False)
    superuser_url: str = field(repr=False)


@dataclass
class PostgresServer:
    """Makes databases from templates: migrated once per package, copied for each test."""

    stack: LocalStack
    _templates: dict[str, asyncio.Task[str]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @property
    def url(self) -> str:
        return self.stack.postgres_url

    async def create(self, package: str) -> Database:
        """A fresh database with the tables of the log and of `package`."""
        if package not in self._templates:
            self._templates[package] = asyncio.create_task(self._template(package))
        role = await self._templates[package]
        name = f"{role}_{next(self._numbers)}"
        await self._run(
            SQL("CREATE DATABASE {} TEMPLATE {} OWNER {} STRATEGY wal_log").format(
                Identifier(name), Identifier(role), Identifier(role)
            )
        )
        server = self.stack.server
        return Database(
            name, server.url_of(role, self._password(role), name), server.url_of("pac", server.password, name)
        )

    async def drop(self, database: Database) -> None:
        await self._run(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(database.name)))

    async def _template(self, package: str) -> str:
        role = "test_" + package.rpartition(".")[2]
        database = await self.stack.create_database(role, self._password(role))
        await asyncio.to_thread(upgrade, database.migration_url, package)
        return role

    def _password(self, role: str) -> str:
        return f"password-of-{role}"

    async def _run(self, statement: psycopg.sql.Composed) -> None:
        async with await psycopg.AsyncConnection.connect(self.url, autocommit=True) as connection:
            await connection.execute(statement)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def postgres() -> AsyncIterator[PostgresServer]:
    folder = Path(tempfile.mkdtemp(prefix="pac-postgres-"))
    try:
        async with LocalStack(folder, kafka=False, s3=False) as stack:
            yield PostgresServer(stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


DatabaseOf = Callable[..., Awaitable[Database]]
EventLogOf = Callable[..., Awaitable[EventLog]]


@pytest_asyncio.fixture(loop_scope="session")
async def database_of(postgres: PostgresServer) -> AsyncIterator[DatabaseOf]:
    """A factory of migrated databases, by package. Dropped after the test, once its log was found lawful.

    `laws=False` is for a test that breaks its log on purpose.
    """
    made: list[tuple[Database, bool]] = []

    async def create(package: str = "pac.eventlog", *, laws: bool = True) -> Database:
        database = await postgres.create(package)
        made.append((database, laws))
        return database

    yield create
    faults = [fault for database, laws in made if laws for fault in await broken_laws(database.superuser_url)]
    for database, _ in made:
        await postgres.drop(database)
    assert not faults, "\n".join(faults)


@pytest_asyncio.fixture(loop_scope="session")
async def database(database_of: DatabaseOf) -> Database:
    """A database with the log's tables and no service's."""
    return await database_of()


@asynccontextmanager
async def opened(database: Database, service: ServiceName, *, pool_size: int = 10) -> AsyncIterator[EventLog]:
    """An EventLog as a process has it; for tests with several processes on one database."""
    log = EventLog(create_engine(database.url, pool_size=pool_size), service)
    try:
        yield log
    finally:
        await log.close()


@pytest_asyncio.fixture(loop_scope="session")
async def event_log_of(database_of: DatabaseOf) -> AsyncIterator[EventLogOf]:
    """A factory: with ServiceName.BILLING it opens a log on a fresh database with that service's tables.

    With `database=` it is another process of the same service.
    """
    logs: list[EventLog] = []

    async def create(
        service: ServiceName, *, database: Database | None = None, laws: bool = True, pool_size: int = 10
    ) -> EventLog:
        database = database or await database_of(f"pac.{service.module}", laws=laws)
        log = EventLog(create_engine(database.url, pool_size=pool_size), service)
        logs.append(log)
        return log

    yield create
    for log in logs:
        await log.close()


@pytest_asyncio.fixture(loop_scope="session")
async def event_log(database: Database, event_log_of: EventLogOf) -> EventLog:
    """A log with deployments' events and no tables of a service."""
    return await event_log_of(ServiceName.DEPLOYMENTS, database=database)


__all__ = [
    "Database",
    "PostgresServer",
    "database",
    "database_of",
    "event_log",
    "event_log_of",
    "postgres",
]
