"""Secrets stored for apps, sealed, with the versions before them; one row in vaults for each app that has had any."""

from alembic import op

revision = "runtime_notifier_0004"
down_revision = "runtime_notifier_0003"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE state.vaults (
        app_id      uuid   PRIMARY KEY,
        version     bigint NOT NULL,
        kek_id      text   NOT NULL,
        wrapped_key bytea  NOT NULL
    )
    """,
    """
    CREATE TABLE state.secrets (
        app_id  uuid        NOT NULL,
        name    text        NOT NULL,
        version bigint      NOT NULL,
        until   bigint      CHECK (until > version),
        sealed  bytea       NOT NULL,
        set_by  text        NOT NULL,
        set_at  timestamptz NOT NULL,
        PRIMARY KEY (app_id, name, version)
    )
    """,
    "CREATE UNIQUE INDEX secrets_in_force ON state.secrets (app_id, name) WHERE until IS NULL",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in STATEMENTS:
        op.execute(statement)
