"""What of which app runs, what was given to the runtime, and what is to be given again."""

from alembic import op

revision = "runtime_notifier_0001"
down_revision = None

STATEMENTS = (
    "CREATE SCHEMA IF NOT EXISTS state",
    """
    CREATE TABLE state.apps (
        app_id          uuid    PRIMARY KEY,
        is_known        boolean NOT NULL DEFAULT false,
        is_deleted      boolean NOT NULL DEFAULT false,
        current         uuid,
        current_release bigint  NOT NULL DEFAULT 0,
        serving         text,
        is_orphan       boolean NOT NULL DEFAULT false
    )
    """,
    """
    CREATE TABLE state.deliveries (
        deployment_id uuid    PRIMARY KEY,
        app_id        uuid    NOT NULL,
        release       bigint  NOT NULL,
        attempt       integer NOT NULL,
        closed        boolean NOT NULL,
        done          boolean NOT NULL,
        ready         boolean NOT NULL,
        given_again   integer NOT NULL,
        misses        integer NOT NULL,
        facts         jsonb   NOT NULL
    )
    """,
    "CREATE INDEX deliveries_open ON state.deliveries (app_id) WHERE NOT closed AND NOT done",
    """
    CREATE TABLE state.wires (
        id            text        PRIMARY KEY,
        app_id        uuid        NOT NULL,
        deployment_id uuid        NOT NULL,
        attempt       integer,
        status        text        NOT NULL CHECK (status IN ('pending', 'healthy', 'failed', 'stopped', 'lost')),
        given_at      timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    "CREATE INDEX wires_live ON state.wires (app_id) WHERE status IN ('pending', 'healthy')",
    "CREATE INDEX apps_that_run ON state.apps (app_id) WHERE serving IS NOT NULL OR current IS NOT NULL",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in STATEMENTS:
        op.execute(statement)
