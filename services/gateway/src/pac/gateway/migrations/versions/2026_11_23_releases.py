"""An app's current release, as the hub says it."""

from alembic import op

revision = "gateway_0002"
down_revision = "gateway_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute(
        """
        ALTER TABLE state.agent_apps
            ADD COLUMN current_release integer NOT NULL DEFAULT 0,
            ADD COLUMN current_deployment_id uuid,
            ADD COLUMN current_package_id uuid,
            ADD COLUMN current_version text
        """
    )
