"""What an app is set to, as the hub says it: pinned, stopped."""

from alembic import op

revision = "gateway_0005"
down_revision = "gateway_0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        ALTER TABLE state.agent_apps
            ADD COLUMN pinned boolean NOT NULL DEFAULT false,
            ADD COLUMN stopped_release integer NOT NULL DEFAULT 0
        """
    )
