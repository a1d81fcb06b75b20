"""When a deployment was started and completed, as the hub says: what an estimate is made from."""

from alembic import op

revision = "packages_0002"
down_revision = "packages_0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE state.submissions ADD COLUMN started_at timestamptz, ADD COLUMN completed_at timestamptz")
    op.execute("""
        CREATE INDEX submissions_completed ON state.submissions (completed_at DESC)
            WHERE completed_at IS NOT NULL AND started_at IS NOT NULL""")
    op.execute("CREATE INDEX submissions_open_of_app ON state.submissions (app_id, no) WHERE open")
