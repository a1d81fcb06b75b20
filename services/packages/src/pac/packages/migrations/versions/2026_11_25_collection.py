"""Which bytes are still needed, and what is on its way to a content address or away from it."""

from alembic import op

revision = "packages_0004"
down_revision = "packages_0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("ALTER TABLE state.apps ADD COLUMN deleted_at timestamptz")
    op.execute("ALTER TABLE state.packages ADD COLUMN deleted_at timestamptz, ADD COLUMN collected_at timestamptz")
    op.execute("CREATE INDEX apps_deleted ON state.apps (app_id) WHERE deleted")
    op.execute("CREATE INDEX packages_of_object ON state.packages (object_key) WHERE collected_at IS NULL")
    op.execute("""
        CREATE INDEX packages_ended ON state.packages (package_id)
            WHERE collected_at IS NULL AND status IN ('rejected', 'withdrawn', 'deleted')""")
    # Whoever puts an object at its content address is here until a package refers to it.
    op.execute("""
        CREATE TABLE state.promotions (
            id uuid PRIMARY KEY,
            key text NOT NULL,
            noted_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX promotions_of_key ON state.promotions (key)")
    op.execute("CREATE INDEX promotions_by_age ON state.promotions (noted_at)")
    # Objects that nobody refers to, until they are gone; under a lease of whoever removes them.
    op.execute("""
        CREATE TABLE state.collecting (
            key text PRIMARY KEY,
            holder uuid NOT NULL,
            leased_until timestamptz NOT NULL
        )""")
