"""Balances, and the double-entry ledger they are the sum of."""

from alembic import op

revision = "billing_0001"
down_revision = None


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.execute("CREATE SCHEMA IF NOT EXISTS state")
    op.execute(
        """
        CREATE TABLE state.balances (
            account_id uuid PRIMARY KEY,
            opened_at  timestamptz,
            available  bigint NOT NULL DEFAULT 0 CHECK (available >= 0),
            reserved   bigint NOT NULL DEFAULT 0 CHECK (reserved >= 0),
            spent      bigint NOT NULL DEFAULT 0 CHECK (spent >= 0)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE state.ledger (
            number        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            id            uuid NOT NULL UNIQUE,
            account_id    uuid NOT NULL REFERENCES state.balances,
            kind          text NOT NULL CHECK (kind IN ('grant', 'correction', 'reserve', 'capture', 'release')),
            source        text NOT NULL CHECK (source IN ('issued', 'available', 'reserved', 'spent')),
            source_amount bigint NOT NULL CHECK (source_amount < 0),
            target        text NOT NULL CHECK (target IN ('issued', 'available', 'reserved', 'spent')),
            target_amount bigint NOT NULL,
            amount        bigint NOT NULL,
            balance       bigint NOT NULL CHECK (balance >= 0),
            deployment_id uuid,
            at            timestamptz NOT NULL,
            reason        text,
            CHECK (source <> target),
            CHECK (source_amount + target_amount = 0)
        )
        """
    )
    op.execute("CREATE INDEX ledger_of_account ON state.ledger (account_id, number DESC)")
    op.execute("CREATE INDEX ledger_of_deployment ON state.ledger (deployment_id) WHERE deployment_id IS NOT NULL")
    # Only the reason, which a person wrote, may ever be taken out again.
    op.execute(
        """
        CREATE FUNCTION state.ledger_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'UPDATE' AND NEW.reason IS NULL
               AND to_jsonb(NEW) - 'reason' = to_jsonb(OLD) - 'reason' THEN
                RETURN NEW;
            END IF;
            RAISE EXCEPTION 'the ledger is append-only';
        END $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON state.ledger
        FOR EACH ROW EXECUTE FUNCTION state.ledger_is_append_only()
        """
    )
    op.execute(
        """
        CREATE TRIGGER never_emptied BEFORE TRUNCATE ON state.ledger
        FOR EACH STATEMENT EXECUTE FUNCTION state.ledger_is_append_only()
        """
    )
