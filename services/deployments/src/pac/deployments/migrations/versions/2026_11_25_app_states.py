"""What an app is set to: pinned, stopped. Written with the events that say so."""

from alembic import op

revision = "deployments_0003"
down_revision = "deployments_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE state.apps ADD COLUMN pinned_to uuid, ADD COLUMN stopped_release integer NOT NULL DEFAULT 0"
    )
