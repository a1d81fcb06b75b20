"""The tables that billing writes in its events' own transactions; their migration is the truth about constraints."""

from sqlalchemy import BigInteger, Column, DateTime, MetaData, Table, Text, Uuid

METADATA = MetaData(schema="state")

BALANCES = Table(
    "balances",
    METADATA,
    Column("account_id", Uuid, primary_key=True),
    Column("opened_at", DateTime(timezone=True)),  # null: AccountOpened is not heard yet, grants are kept
    Column("available", BigInteger, nullable=False),
    Column("reserved", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
)

LEDGER = Table(
    "ledger",
    METADATA,
    Column("number", BigInteger, primary_key=True),
    Column("id", Uuid, nullable=False),
    Column("account_id", Uuid, nullable=False),
    Column("kind", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("source_amount", BigInteger, nullable=False),
    Column("target", Text, nullable=False),
    Column("target_amount", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("balance", BigInteger, nullable=False),
    Column("deployment_id", Uuid),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("reason", Text),
)
