"""Up to which release nothing of an app shall run."""

from alembic import op

revision = "runtime_notifier_0003"
down_revision = "runtime_notifier_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE state.apps ADD COLUMN stopped_release bigint NOT NULL DEFAULT 0")
