"""Which runtime an app's next wire is given to, and where each one is."""

from alembic import op

revision = "runtime_notifier_0006"
down_revision = "runtime_notifier_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE state.apps ADD COLUMN runtime text NOT NULL DEFAULT 'default'")
    op.execute("ALTER TABLE state.wires ADD COLUMN runtime text NOT NULL DEFAULT 'default'")
