"""The way to Postgres: one pool per process, and one place that says what counts as an outage."""

import hashlib
import select
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import sqlalchemy.exc
from sqlalchemy import event, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from pac.eventlog.types import Conflict, LogUnavailable

Driver = psycopg.AsyncConnection[tuple[Any, ...]]

_RACES = frozenset({"40001", "40P01"})  # serialization_failure, deadlock_detected
_OUTAGE_CLASSES = frozenset({"08", "53", "57", "58"})  # connection, resources, operator intervention, system
_OUTAGES = frozenset({"25P03", "25P04", "25006", "26000", "55P03", "3D000"})
# timeouts of sessions, a standby, statements forgotten (the connection is replaced), a lock, no database yet
_OURS = frozenset({"events_stream_version_key", "inbox_pkey"})


def create_engine(database_url: str, *, pool_size: int = 10) -> AsyncEngine:
    """An engine for the log and for a service's own statements; takes a plain `postgresql://` URL."""
    engine = create_async_engine(
        make_url(database_url).set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",  # a snapshot older than the stream's lock would read stale heads
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5.0,
        pool_use_lifo=True,
        use_native_hstore=False,  # saves a question at every connect
        hide_parameters=True,  # the text of its errors goes to the log, and rows may hold what must not
        connect_args={
            "connect_timeout": 5,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": 3,
            # psycopg's own preparing says DEALLOCATE ALL after a rollback, which would take the log's statements along.
            "prepare_threshold": None,
        },
    )
    event.listen(engine.sync_engine, "checkout", _refuse_dead_connection)
    return engine


def _refuse_dead_connection(connection: Any, record: Any, _: Any) -> None:
    """What a ping would find out, without its round trip: a server that went away leaves something to read."""
    if not record.info.setdefault("pac_used", False):
        record.info["pac_used"] = True
        return
    driver: Driver = connection.driver_connection
    poll = select.poll()
    if not driver.closed:
        poll.register(driver.fileno(), select.POLLIN | select.POLLHUP)
    if driver.closed or poll.poll(0):
        raise sqlalchemy.exc.InvalidatePoolError


async def driver_of(connection: AsyncConnection) -> Driver:
    """The psycopg connection beneath: what both do is one transaction."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, psycopg.AsyncConnection)
    return driver


def lock_keys(names: Iterable[str]) -> list[int]:
    """Advisory locks of these names, in the order in which everybody takes them."""
    keys = {hashlib.blake2b(name.encode(), digest_size=8, person=b"pac lock").digest() for name in names}
    return sorted(int.from_bytes(key, "big", signed=True) for key in keys)


def translated(error: BaseException, what: str) -> Exception | None:
    """LogUnavailable for an outage, Conflict for a lost race, None for what is neither."""
    if isinstance(error, sqlalchemy.exc.TimeoutError):
        return LogUnavailable("no connection to Postgres was free in time")
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        error = error.orig
    if not isinstance(error, psycopg.Error):
        return None
    state = error.sqlstate
    if state is None:
        lost = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return LogUnavailable(str(error)) if lost else None
    if state in _RACES or (state == "23505" and error.diag.constraint_name in _OURS):
        return Conflict(what)
    if state in _OUTAGES or state[:2] in _OUTAGE_CLASSES:
        return LogUnavailable(str(error))
    return None


@contextmanager
def unavailable(what: str = "Postgres") -> Iterator[None]:
    """Around any use of the engine: an outage becomes LogUnavailable, a lost race Conflict."""
    try:
        yield
    except (psycopg.Error, sqlalchemy.exc.SQLAlchemyError) as error:
        if (better := translated(error, what)) is not None:
            raise better from error
        raise
