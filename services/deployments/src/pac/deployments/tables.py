"""The tables beside the log: `state` is written with the events, `read` follows them and may be rebuilt."""

from sqlalchemy import BigInteger, Column, DateTime, Double, Integer, MetaData, Numeric, Table, Text, Uuid

METADATA = MetaData()
MOMENT = DateTime(timezone=True)

queue = Table(
    "queue",
    METADATA,
    Column("deployment_id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("agent_app_id", Uuid, nullable=False),
    Column("no", BigInteger, nullable=False),
    Column("status", Text, nullable=False),
    Column("release", Integer),
    Column("step", Text),
    Column("attempt", Integer, nullable=False),
    Column("due_at", MOMENT),
    Column("queued_at", MOMENT, nullable=False),
    Column("funded_at", MOMENT),
    Column("started_at", MOMENT),
    Column("correlation_id", Uuid, nullable=False),
    Column("traceparent", Text),
    schema="state",
)

apps = Table(
    "apps",
    METADATA,
    Column("agent_app_id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("last_release", Integer, nullable=False),
    Column("current_deployment_id", Uuid),
    Column("current_release", Integer),
    Column("current_no", BigInteger),
    Column("deleted_at", MOMENT),
    Column("pinned_to", Uuid),
    Column("stopped_release", Integer, nullable=False),
    schema="state",
)

turns = Table(
    "turns",
    METADATA,
    Column("account_id", Uuid, primary_key=True),
    Column("served_at", MOMENT, nullable=False),
    schema="state",
)

deployments = Table(
    "deployments",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("agent_app_id", Uuid, nullable=False),
    Column("package_id", Uuid, nullable=False),
    Column("version", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("retry_of", Uuid),
    Column("no", BigInteger, nullable=False),
    Column("release", Integer),
    Column("status", Text, nullable=False),
    Column("outcome", Text),
    Column("error", Text),
    Column("error_code", Text),
    Column("created_at", MOMENT, nullable=False),
    Column("started_at", MOMENT),
    Column("completed_at", MOMENT),
    Column("duration_seconds", Double),
    schema="read",
)

counts = Table(
    "counts",
    METADATA,
    Column("status", Text, primary_key=True),
    Column("deployments", BigInteger, nullable=False),
    schema="read",
)

minutes = Table(
    "minutes",
    METADATA,
    Column("minute", MOMENT, primary_key=True),
    Column("completed", BigInteger, nullable=False),
    Column("failed", BigInteger, nullable=False),
    Column("seconds", Numeric(20, 6), nullable=False),
    schema="read",
)
