"""Migrations by Alembic, run from code: first the log's own tables, then the service's; one process at a time.

A service ships `<package>/migrations/versions/2026_11_23_<name>.py`; there is no env.py and no alembic.ini.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.pool import NullPool

OWN_PACKAGE = "pac.eventlog"
LOCK_KEY = 0x7061635F6C6F67  # "pac_log"
LOCK_TIMEOUT = "5s"  # a migration gives way to traffic rather than queueing all of it behind itself
PATIENCE_SECONDS = 120.0


class MigrationBusy(TimeoutError):  # noqa: N818 - says what is going on
    """Another process migrates this database and does not come to an end."""


def upgrade(database_url: str, package: str) -> None:
    """Brings the database to the newest schema of the log and of `package`. Doing it twice changes nothing."""
    url = make_url(database_url).set(drivername="postgresql+psycopg")
    engine = create_engine(url, poolclass=NullPool, connect_args={"application_name": "pac-migrate"})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as guard, _alone(guard):
        for name in dict.fromkeys((OWN_PACKAGE, package)):
            if (versions := _versions_of(name)) is not None:
                with engine.connect() as connection:
                    _upgrade(connection, versions, version_table=f"migrations_{name.rpartition('.')[2]}")


@contextmanager
def _alone(guard: Connection) -> Iterator[None]:
    deadline = time.monotonic() + PATIENCE_SECONDS
    # Asked again and again instead of waited for: a waiting statement is a transaction, and roles have a limit on it.
    while not guard.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK_KEY}):
        if time.monotonic() > deadline:
            raise MigrationBusy(f"waited {PATIENCE_SECONDS:.0f} s for another migration of this database")
        time.sleep(0.05)
    guard.execute(text("CREATE SCHEMA IF NOT EXISTS log"))
    try:
        yield
    finally:
        guard.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": LOCK_KEY})


def _versions_of(package: str) -> Path | None:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed")
    versions = Path(next(iter(spec.submodule_search_locations))) / "migrations" / "versions"
    return versions if versions.is_dir() else None


def _upgrade(connection: Connection, versions: Path, version_table: str) -> None:
    script = ScriptDirectory(str(versions.parent), version_locations=[str(versions)])

    def to_newest(revision: Any, _: Any) -> Any:
        return script._upgrade_revs("head", revision)  # noqa: SLF001 - the way Alembic's own command does it

    with EnvironmentContext(Config(), script, fn=to_newest, destination_rev="head") as environment:
        environment.configure(connection=connection, version_table=version_table, version_table_schema="log")
        with environment.begin_transaction():
            connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            environment.run_migrations()
    connection.commit()
