"""The tables that runtime-notifier writes in its events' own transactions; see `running.py` for what they mean."""

from sqlalchemy import BigInteger, Boolean, Column, DateTime, Integer, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData(schema="state")

APPS = Table(
    "apps",
    METADATA,
    Column("app_id", Uuid, primary_key=True),
    Column("is_known", Boolean, nullable=False),
    Column("is_deleted", Boolean, nullable=False),
    Column("current", Uuid),
    Column("current_release", BigInteger, nullable=False),
    Column("stopped_release", BigInteger, nullable=False),
    Column("serving", Text),
    Column("runtime", Text, nullable=False),  # the next wire's
    Column("is_orphan", Boolean, nullable=False),  # it serves, nothing should run, and the runtime cannot stop it
)

DELIVERIES = Table(
    "deliveries",
    METADATA,
    Column("deployment_id", Uuid, primary_key=True),
    Column("app_id", Uuid, nullable=False),
    Column("release", BigInteger, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("closed", Boolean, nullable=False),
    Column("done", Boolean, nullable=False),
    Column("ready", Boolean, nullable=False),
    Column("given_again", Integer, nullable=False),
    Column("misses", Integer, nullable=False),
    Column("facts", JSONB, nullable=False),
)

WIRES = Table(
    "wires",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("app_id", Uuid, nullable=False),
    Column("deployment_id", Uuid, nullable=False),
    Column("attempt", Integer),
    Column("status", Text, nullable=False),
    Column("given_at", DateTime(timezone=True)),
    Column("runtime", Text, nullable=False),
)
