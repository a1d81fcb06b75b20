"""Endpoints that are told of deployments, what they are told, and every attempt at it."""

from alembic import op

revision = "runtime_notifier_0005"
down_revision = "runtime_notifier_0004"
branch_labels = None
depends_on = None

STATEMENTS = (
    """
    CREATE TABLE state.webhooks (
        id              uuid        PRIMARY KEY,
        account_id      uuid        NOT NULL,
        app_id          uuid        NOT NULL,
        url             text        NOT NULL,
        events          text[]      NOT NULL,
        description     text        NOT NULL,
        created_at      timestamptz NOT NULL,
        failures        integer     NOT NULL DEFAULT 0,
        failing_since   timestamptz,
        paused_until    timestamptz,
        disabled_at     timestamptz,
        disabled_reason text
    )
    """,
    "CREATE INDEX webhooks_of_app ON state.webhooks (app_id, created_at, id)",
    "CREATE INDEX webhooks_of_account ON state.webhooks (account_id)",
    """
    CREATE TABLE state.webhook_secrets (
        webhook_id uuid    NOT NULL REFERENCES state.webhooks ON DELETE CASCADE,
        number     integer NOT NULL,
        sealed     bytea   NOT NULL,
        until      timestamptz,
        PRIMARY KEY (webhook_id, number)
    )
    """,
    """
    CREATE TABLE state.webhook_notices (
        no             bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account_id     uuid        NOT NULL,
        app_id         uuid,
        subject        uuid        NOT NULL,
        type           text        NOT NULL,
        at             timestamptz NOT NULL,
        body           text        NOT NULL,
        event_id       uuid        NOT NULL,
        correlation_id uuid        NOT NULL
    )
    """,
    "CREATE INDEX webhook_notices_of_app ON state.webhook_notices (app_id, no)",
    "CREATE INDEX webhook_notices_in_time ON state.webhook_notices (at)",
    """
    CREATE TABLE state.webhook_messages (
        webhook_id uuid        NOT NULL REFERENCES state.webhooks ON DELETE CASCADE,
        notice     bigint      NOT NULL REFERENCES state.webhook_notices ON DELETE CASCADE,
        subject    uuid        NOT NULL,
        status     text        NOT NULL CHECK (status IN ('pending', 'delivered', 'exhausted', 'dropped')),
        attempts   integer     NOT NULL DEFAULT 0,
        next_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (webhook_id, notice)
    )
    """,
    # The head of each queue is found without a look at what was sent before.
    """
    CREATE INDEX webhook_messages_waiting ON state.webhook_messages (webhook_id, subject, notice)
        WHERE status = 'pending'
    """,
    "CREATE INDEX webhook_messages_of_notice ON state.webhook_messages (notice)",
    """
    CREATE TABLE state.webhook_attempts (
        id          uuid        PRIMARY KEY,
        webhook_id  uuid        NOT NULL,
        notice      bigint      NOT NULL,
        at          timestamptz NOT NULL,
        duration_ms integer     NOT NULL,
        status      integer,
        error       text,
        FOREIGN KEY (webhook_id, notice) REFERENCES state.webhook_messages ON DELETE CASCADE
    )
    """,
    "CREATE INDEX webhook_attempts_in_time ON state.webhook_attempts (webhook_id, at, id)",
    "CREATE INDEX webhook_attempts_of_message ON state.webhook_attempts (webhook_id, notice)",
)


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    for statement in STATEMENTS:
        op.execute(statement)
