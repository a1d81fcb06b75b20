"""The runtime that an app has chosen."""

from alembic import op

revision = "gateway_0006"
down_revision = "gateway_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE state.agent_apps ADD COLUMN runtime text NOT NULL DEFAULT 'default'")
