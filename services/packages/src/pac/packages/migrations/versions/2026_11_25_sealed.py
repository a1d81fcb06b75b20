"""Environments that were sealed for packages whose bytes have gone already: noted, so that the sweep removes them."""

from alembic import op

revision = "packages_0006"
down_revision = "packages_0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        WITH gone AS (
            UPDATE state.submissions AS mine SET sealed_key = NULL
              FROM state.packages, state.submissions AS before
             WHERE packages.package_id = mine.package_id AND packages.collected_at IS NOT NULL
               AND before.deployment_id = mine.deployment_id AND before.sealed_key IS NOT NULL
            RETURNING before.sealed_key
        )
        INSERT INTO state.leftovers (key, noted_at)
        SELECT DISTINCT sealed_key, clock_timestamp() FROM gone ON CONFLICT DO NOTHING""")
