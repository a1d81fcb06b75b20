"""The queue with its slots, the apps, and the read side."""

from alembic import op

revision = "deployments_0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE state.queue (
        deployment_id  uuid        PRIMARY KEY,
        account_id     uuid        NOT NULL,
        agent_app_id   uuid        NOT NULL,
        no             bigint      NOT NULL,
        status         text        NOT NULL
            CHECK (status IN ('undecided', 'held', 'processing', 'finalizing', 'aborting')),
        release        integer,
        step           text,
        attempt        integer     NOT NULL DEFAULT 0,
        due_at         timestamptz,
        queued_at      timestamptz NOT NULL,
        funded_at      timestamptz,
        started_at     timestamptz,
        correlation_id uuid        NOT NULL,
        traceparent    text
    )
    """,
    # A slot is a row in one of these two states: taken, kept and freed with the events, and never two for one app.
    """
    CREATE UNIQUE INDEX queue_one_slot_per_app ON state.queue (agent_app_id)
    WHERE status IN ('processing', 'finalizing')
    """,
    "CREATE INDEX queue_by_app ON state.queue (agent_app_id, status, no)",
    "CREATE INDEX queue_by_account ON state.queue (account_id, status, queued_at)",
    "CREATE INDEX queue_due ON state.queue (due_at) WHERE due_at IS NOT NULL",
    """
    CREATE TABLE state.apps (
        agent_app_id          uuid PRIMARY KEY,
        account_id            uuid NOT NULL,
        last_release          integer NOT NULL DEFAULT 0,
        current_deployment_id uuid,
        current_release       integer,
        current_no            bigint,
        deleted_at            timestamptz
    )
    """,
    """
    CREATE TABLE state.turns (
        account_id uuid        PRIMARY KEY,
        served_at  timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE read.deployments (
        id               uuid        PRIMARY KEY,
        account_id       uuid        NOT NULL,
        agent_app_id     uuid        NOT NULL,
        package_id       uuid        NOT NULL,
        version          text        NOT NULL,
        source           text        NOT NULL,
        retry_of         uuid,
        no               bigint      NOT NULL,
        release          integer,
        status           text        NOT NULL CHECK (status IN ('queued', 'processing', 'completed', 'failed')),
        outcome          text,
        error            text,
        error_code       text,
        created_at       timestamptz NOT NULL,
        started_at       timestamptz,
        completed_at     timestamptz,
        duration_seconds double precision
    )
    """,
    "CREATE INDEX deployments_newest ON read.deployments (account_id, created_at DESC, id DESC)",
    "CREATE INDEX deployments_of_app ON read.deployments (agent_app_id, created_at DESC, id DESC)",
    "CREATE INDEX deployments_finished ON read.deployments (completed_at DESC) WHERE status = 'completed'",
    "CREATE TABLE read.counts (status text PRIMARY KEY, deployments bigint NOT NULL)",
    """
    CREATE TABLE read.minutes (
        minute    timestamptz PRIMARY KEY,
        completed bigint NOT NULL,
        failed    bigint NOT NULL,
        seconds   double precision NOT NULL
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
