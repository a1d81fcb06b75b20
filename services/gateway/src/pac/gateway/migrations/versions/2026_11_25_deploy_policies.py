"""Whether a change of an app's secrets makes a new release."""

from alembic import op

revision = "gateway_0007"
down_revision = "gateway_0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE state.agent_apps ADD COLUMN deploy_policy text NOT NULL DEFAULT 'manual'")
