"""The wires of a deployment are found without looking at every wire that ever was."""

from alembic import op

revision = "runtime_notifier_0002"
down_revision = "runtime_notifier_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE INDEX wires_of_deployment ON state.wires (deployment_id)")
