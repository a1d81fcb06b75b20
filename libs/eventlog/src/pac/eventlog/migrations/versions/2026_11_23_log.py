"""The tables of the log itself; every service's database has them."""

from alembic import op

revision = "log_0001"
down_revision = None

STATEMENTS = (
    "CREATE SCHEMA IF NOT EXISTS log",
    "CREATE SCHEMA IF NOT EXISTS state",
    "CREATE SCHEMA IF NOT EXISTS read",
    """
    CREATE TABLE log.events (
        position    bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        xid         xid8        NOT NULL DEFAULT pg_current_xact_id(),
        stream      text        NOT NULL,
        version     bigint      NOT NULL CHECK (version > 0),
        type        text        NOT NULL,
        data        jsonb       NOT NULL,
        metadata    jsonb       NOT NULL,
        at          timestamptz NOT NULL,
        hash        bytea       NOT NULL CHECK (length(hash) = 32),
        recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        CONSTRAINT events_stream_version_key UNIQUE (stream, version)
    )
    """,
    "CREATE INDEX events_in_reading_order ON log.events (xid, position)",
    """
    CREATE FUNCTION log.refuse_change() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'log.events is only added to'; END $$
    """,
    """
    CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON log.events
    FOR EACH STATEMENT EXECUTE FUNCTION log.refuse_change()
    """,
    """
    CREATE TABLE log.checkpoints (
        reader   text        PRIMARY KEY,
        xid      xid8        NOT NULL DEFAULT '0',
        position bigint      NOT NULL DEFAULT 0,
        moved_at timestamptz NOT NULL DEFAULT clock_timestamp()
    )
    """,
    """
    CREATE TABLE log.inbox (
        consumer text   NOT NULL,
        source   text   NOT NULL,
        stream   text   NOT NULL,
        version  bigint NOT NULL CHECK (version > 0),
        CONSTRAINT inbox_pkey PRIMARY KEY (consumer, source, stream)
    )
    """,
    """
    CREATE TABLE log.leases (
        name       text        PRIMARY KEY,
        holder     text        NOT NULL,
        token      bigint      NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE log.parked (
        id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        consumer     text        NOT NULL,
        subject      text        NOT NULL,
        topic        text        NOT NULL,
        partition    integer     NOT NULL,
        "offset"     bigint      NOT NULL,
        key          bytea       NOT NULL,
        value        bytea       NOT NULL,
        headers      jsonb       NOT NULL,
        reason       text        NOT NULL,
        early        boolean     NOT NULL,
        attempts     integer     NOT NULL DEFAULT 0,
        due_at       timestamptz NOT NULL,
        parked_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
        dead_at      timestamptz,
        CONSTRAINT parked_once UNIQUE (consumer, topic, partition, "offset")
    )
    """,
    "CREATE INDEX parked_in_order ON log.parked (consumer, subject, id)",
    # Not a count per job: a job put again under an old key must not meet a worker with an old token.
    "CREATE SEQUENCE state.job_tokens",
    """
    CREATE TABLE state.jobs (
        queue        text        NOT NULL,
        key          text        NOT NULL,
        payload      jsonb       NOT NULL,
        run_at       timestamptz NOT NULL,
        cause        jsonb       NOT NULL,
        token        bigint      NOT NULL DEFAULT nextval('state.job_tokens'),
        leased_until timestamptz,
        attempts     integer     NOT NULL DEFAULT 0,
        created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
        error        text,
        CONSTRAINT jobs_pkey PRIMARY KEY (queue, key)
    )
    """,
    "CREATE INDEX jobs_due ON state.jobs (queue, run_at)",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
