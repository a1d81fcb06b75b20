"""Requests that may come again: who is at work on one, and what was answered."""

from alembic import op

revision = "log_0002"
down_revision = "log_0001"

STATEMENTS = (
    """
    CREATE TABLE state.claims (
        id           bytea       PRIMARY KEY CHECK (length(id) = 32),
        token        uuid        NOT NULL,
        leased_until timestamptz NOT NULL,
        claimed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
        fingerprint  bytea,
        outcome      jsonb,
        answer       bytea
    )
    """,
    "CREATE INDEX claims_by_age ON state.claims (claimed_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
