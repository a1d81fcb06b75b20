"""Who belongs to an account. A user is the opaque id that the issuer of sessions gives."""

from alembic import op

revision = "gateway_0003"
down_revision = "gateway_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        CREATE TABLE state.members (
            account_id uuid NOT NULL REFERENCES state.accounts,
            user_id uuid NOT NULL,
            role text NOT NULL CHECK (role IN ('owner', 'member', 'viewer')),
            created_at timestamptz NOT NULL,
            PRIMARY KEY (account_id, user_id)
        )
        """
    )
    op.execute("CREATE INDEX ON state.members (user_id)")
