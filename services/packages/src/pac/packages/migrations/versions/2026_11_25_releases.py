"""Which release of its app a deployment became: what a rollback goes back along.

Of those that completed before, only the current one is known: a rollback without `to` finds what comes after.
"""

from alembic import op

revision = "packages_0003"
down_revision = "packages_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE state.submissions ADD COLUMN release integer")
    op.execute("""
        UPDATE state.submissions AS mine SET release = apps.current_release
        FROM state.apps WHERE apps.current_deployment_id = mine.deployment_id""")
    op.execute("""
        CREATE INDEX submissions_releases_of_app ON state.submissions (app_id, release DESC)
            WHERE release IS NOT NULL""")
