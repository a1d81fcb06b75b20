"""Who may sign an app's packages, and who has signed a package."""

from alembic import op

revision = "packages_0003"
down_revision = "packages_0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    # A key holds names and addresses of people: erasable, so in no event and in a table of its own.
    op.execute("""
        CREATE TABLE state.signing_keys (
            app_id uuid NOT NULL,
            fingerprint text NOT NULL,
            account_id uuid NOT NULL,
            certificate bytea NOT NULL,
            user_ids text[] NOT NULL,
            created_at timestamptz NOT NULL,
            expires_at timestamptz,
            signing jsonb NOT NULL,
            added_at timestamptz NOT NULL,
            PRIMARY KEY (app_id, fingerprint)
        )""")
    op.execute("ALTER TABLE state.apps ADD COLUMN signature_policy text NOT NULL DEFAULT 'optional'")
    op.execute("ALTER TABLE state.packages ADD COLUMN signed_by text, ADD COLUMN signing_key text")
    op.execute("ALTER TABLE state.packages DROP CONSTRAINT packages_signature_check")
    op.execute("""
        ALTER TABLE state.packages ADD CONSTRAINT packages_signature_check
            CHECK (signature IN ('none', 'ignored', 'unverified', 'verified')) NOT VALID""")
