"""The tables of webhooks: endpoints and their secrets, what was noticed, what is sent to whom, and every attempt.

`webhook_notices` is what `from` and a recovered span are read from; `no` grows with the order in which it was noticed.
"""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Integer, LargeBinary, MetaData, Table, Text, Uuid
from sqlalchemy.dialects.postgresql import ARRAY

METADATA = MetaData(schema="state")

WEBHOOKS = Table(
    "webhooks",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("app_id", Uuid, nullable=False),
    Column("url", Text, nullable=False),
    Column("events", ARRAY(Text), nullable=False),
    Column("description", Text, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("failing_since", DateTime(timezone=True)),
    Column("paused_until", DateTime(timezone=True)),
    Column("disabled_at", DateTime(timezone=True)),
    Column("disabled_reason", Text),
)

SECRETS = Table(
    "webhook_secrets",
    METADATA,
    Column("webhook_id", Uuid, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
    Column("until", DateTime(timezone=True)),  # null: the newest one
)

NOTICES = Table(
    "webhook_notices",
    METADATA,
    Column("no", BigInteger, Identity(always=True), primary_key=True),
    Column("account_id", Uuid, nullable=False),
    Column("app_id", Uuid),
    Column("subject", Uuid, nullable=False),
    Column("type", Text, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("body", Text, nullable=False),
    Column("event_id", Uuid, nullable=False),
    Column("correlation_id", Uuid, nullable=False),
)

MESSAGES = Table(
    "webhook_messages",
    METADATA,
    Column("webhook_id", Uuid, primary_key=True),
    Column("notice", BigInteger, primary_key=True),
    Column("subject", Uuid, nullable=False),
    Column("status", Text, nullable=False),  # pending, delivered, exhausted, dropped
    Column("attempts", Integer, nullable=False),
    Column("next_at", DateTime(timezone=True), nullable=False),
)

ATTEMPTS = Table(
    "webhook_attempts",
    METADATA,
    Column("id", Uuid, primary_key=True),
    Column("webhook_id", Uuid, nullable=False),
    Column("notice", BigInteger, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("status", Integer),
    Column("error", Text),
)
