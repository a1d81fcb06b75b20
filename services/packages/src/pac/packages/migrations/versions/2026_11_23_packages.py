"""Packages, versions, submissions and what packages needs to know of apps."""

from alembic import op

revision = "packages_0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
        CREATE TABLE state.apps (
            app_id uuid PRIMARY KEY,
            no bigint NOT NULL DEFAULT 0,
            deleted boolean NOT NULL DEFAULT false,
            current_release integer NOT NULL DEFAULT 0,
            current_package_id uuid,
            current_deployment_id uuid
        )""")
    op.execute("""
        CREATE TABLE state.packages (
            package_id uuid PRIMARY KEY,
            account_id uuid NOT NULL,
            app_id uuid NOT NULL,
            version text NOT NULL,
            sha256 text NOT NULL,
            size_bytes bigint NOT NULL,
            object_key text NOT NULL,
            staging_key text,
            status text NOT NULL CHECK (status IN
                ('uploading', 'stored', 'superseded', 'rejected', 'withdrawn', 'deleted')),
            kept boolean NOT NULL DEFAULT false,
            done text[] NOT NULL DEFAULT '{}',
            created_at timestamptz NOT NULL,
            signature text NOT NULL DEFAULT 'none' CHECK (signature IN ('none', 'ignored', 'unverified')),
            manifest jsonb,
            metadata jsonb,
            warnings jsonb NOT NULL DEFAULT '[]',
            problems jsonb,
            superseded_by uuid,
            withdrawn_at timestamptz
        )""")
    op.execute("CREATE INDEX packages_of_app ON state.packages (app_id, created_at DESC, package_id DESC)")
    op.execute("""
        CREATE TABLE state.versions (
            app_id uuid NOT NULL,
            version text NOT NULL,
            package_id uuid REFERENCES state.packages,
            beside_id uuid REFERENCES state.packages,
            PRIMARY KEY (app_id, version),
            CHECK (package_id IS NOT NULL OR beside_id IS NOT NULL)
        )""")
    op.execute("""
        CREATE TABLE state.submissions (
            deployment_id uuid PRIMARY KEY,
            package_id uuid NOT NULL REFERENCES state.packages,
            account_id uuid NOT NULL,
            app_id uuid NOT NULL,
            version text NOT NULL,
            no bigint NOT NULL,
            source text NOT NULL,
            open boolean NOT NULL DEFAULT true,
            decision text NOT NULL DEFAULT 'undecided' CHECK (decision IN ('undecided', 'reserved', 'rejected')),
            required bigint,
            available bigint,
            done text[] NOT NULL DEFAULT '{}',
            jobs text[] NOT NULL DEFAULT '{}',
            sealed_key text,
            queued_at timestamptz NOT NULL,
            UNIQUE (app_id, no)
        )""")
    op.execute("CREATE INDEX submissions_of_package ON state.submissions (package_id, no DESC)")
    op.execute("CREATE INDEX submissions_open ON state.submissions (package_id) WHERE open")
    # Written by people: erasable, so in no event and in a table of its own.
    op.execute("""
        CREATE TABLE state.release_notes (
            package_id uuid PRIMARY KEY REFERENCES state.packages,
            account_id uuid NOT NULL,
            notes text NOT NULL
        )""")
    # Objects that nothing refers to unless the transaction that would refer to them takes them off this list.
    op.execute("""
        CREATE TABLE state.leftovers (
            key text PRIMARY KEY,
            noted_at timestamptz NOT NULL
        )""")
    op.execute("CREATE INDEX leftovers_by_age ON state.leftovers (noted_at)")
