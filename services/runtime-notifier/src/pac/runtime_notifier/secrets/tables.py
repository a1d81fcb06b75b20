"""The tables of stored secrets. Values and data keys stand in them sealed (envelope.py); nothing of them in the log."""

from sqlalchemy import BigInteger, Column, DateTime, LargeBinary, Table, Text, Uuid

from pac.runtime_notifier.tables import METADATA

VAULTS = Table(
    "vaults",
    METADATA,
    Column("app_id", Uuid, primary_key=True),
    Column("version", BigInteger, nullable=False),
    Column("kek_id", Text, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
)

SECRETS = Table(
    "secrets",
    METADATA,
    Column("app_id", Uuid, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True),  # from this one of the app's versions on …
    Column("until", BigInteger),  # … and before this one; null: still
    Column("sealed", LargeBinary, nullable=False),
    Column("set_by", Text, nullable=False),
    Column("set_at", DateTime(timezone=True), nullable=False),
)
