"""Accounts, agent apps and API keys: what must be erasable (names) or must not be read from a log (hashes)."""

from alembic import op

revision = "gateway_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE SCHEMA IF NOT EXISTS state")
    op.execute(
        """
        CREATE TABLE state.accounts (
            id uuid PRIMARY KEY,
            name text NOT NULL,
            created_at timestamptz NOT NULL
        )
        """
    )
    op.execute(
        """
        CREATE TABLE state.agent_apps (
            id uuid PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES state.accounts,
            name text NOT NULL,
            signature_policy text NOT NULL CHECK (signature_policy IN ('off', 'optional', 'required')),
            created_at timestamptz NOT NULL,
            deleted_at timestamptz
        )
        """
    )
    op.execute("CREATE INDEX ON state.agent_apps (account_id, created_at, id) WHERE deleted_at IS NULL")
    op.execute(
        """
        CREATE TABLE state.api_keys (
            id uuid PRIMARY KEY,
            account_id uuid NOT NULL REFERENCES state.accounts,
            name text NOT NULL,
            hash bytea NOT NULL UNIQUE CHECK (octet_length(hash) = 32),
            last4 text NOT NULL CHECK (length(last4) = 4),
            scopes text[] NOT NULL,
            created_at timestamptz NOT NULL,
            expires_at timestamptz,
            last_used_at timestamptz,
            revoked_at timestamptz
        )
        """
    )
    op.execute("CREATE INDEX ON state.api_keys (account_id, created_at, id) WHERE revoked_at IS NULL")
