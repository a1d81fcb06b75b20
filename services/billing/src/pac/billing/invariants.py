"""The laws of money on a live billing: what `laws.py` proves of everything, of a sample and in little time."""

import random
from collections import defaultdict
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.billing.books import Balance, movement_of
from pac.contracts.topics import ServiceName
from pac.eventlog.record import event_from
from pac.servicekit.invariants import Finding, Law, found

ENTRIES, ACCOUNTS, ENTRIES_OF_ACCOUNT, HOLDS = 200, 10, 300, 500

TOTALS = text("""
SELECT count(*), coalesce(sum(source_amount + target_amount), 0) AS legs,
    coalesce(sum(CASE WHEN source = 'issued' THEN source_amount WHEN target = 'issued' THEN target_amount END), 0)
        + (SELECT coalesce(sum(available + reserved + spent), 0) FROM state.balances) AS books
FROM state.ledger
""")
LAST_ENTRY = text("SELECT coalesce(max(number), 0) FROM state.ledger")
SAMPLE = text("""
WITH near AS MATERIALIZED (
    (SELECT account_id FROM state.ledger ORDER BY number DESC LIMIT :entries)
    UNION ALL (SELECT account_id FROM state.ledger WHERE number >= :somewhere ORDER BY number LIMIT :entries)
)
SELECT account_id FROM (SELECT DISTINCT account_id FROM near) AS sample WHERE (SELECT count(*) FROM (
    SELECT FROM state.ledger AS mine WHERE mine.account_id = sample.account_id LIMIT CAST(:longest AS int) + 1
) AS entries) <= CAST(:longest AS int)
ORDER BY random() LIMIT :accounts
""")
BALANCES = text(
    "SELECT account_id, available, reserved, spent FROM state.balances WHERE account_id = ANY (CAST(:sample AS uuid[]))"
)
SAID = text("""
SELECT streams.account_id, e.data::text, (e.metadata->>'data_version')::int FROM (
    SELECT account_id, 'account-' || account_id::text AS stream
    FROM unnest(CAST(:sample AS uuid[])) AS sample (account_id)
    UNION SELECT account_id, 'hold-' || deployment_id::text FROM state.ledger
    WHERE account_id = ANY (CAST(:sample AS uuid[])) AND deployment_id IS NOT NULL
) AS streams JOIN log.events AS e USING (stream)
""")
UNKNOWN_HOLDS = text("""
SELECT count(*), array_agg(stream) FILTER (WHERE NOT EXISTS (
    SELECT FROM log.inbox WHERE consumer = 'billing' AND source = 'deployments'
        AND inbox.stream = 'deployment-' || substr(holds.stream, 6)))
FROM (SELECT stream FROM log.events WHERE type = 'CreditsReserved' ORDER BY position DESC LIMIT :holds) AS holds
""")


# By the index of each account's entries: the newest of those accounts that hold anything.
OLD_HOLDS = text("""
SELECT entry.account_id, entry.deployment_id, extract(epoch FROM clock_timestamp() - entry.at) / 3600
FROM (SELECT account_id FROM state.balances WHERE reserved > 0 LIMIT :accounts) AS holding
CROSS JOIN LATERAL (
    SELECT account_id, deployment_id, at FROM state.ledger AS mine
    WHERE mine.account_id = holding.account_id AND kind = 'reserve'
        AND at < clock_timestamp() - :hours * interval '1 hour'
    ORDER BY number DESC LIMIT :holds) AS entry
WHERE NOT EXISTS (SELECT FROM state.ledger AS ending
    WHERE ending.deployment_id = entry.deployment_id AND ending.kind <> 'reserve')
ORDER BY 3 DESC LIMIT 100
""")
HOLDING = text("SELECT count(*) FROM state.balances WHERE reserved > 0")
HOLD_LIMIT_HOURS, HOLDING_ACCOUNTS = 48, 200  # a deployment waits a day for its slot, and an hour at most for its steps


async def ledger_sums_to_zero(connection: AsyncConnection) -> Finding:
    entries, legs, books = (await connection.execute(TOTALS)).one()
    offenders = [f"all legs of the ledger: {legs}"] if legs else []
    if books:
        offenders.append(f"all balances less what was issued: {books}")
    return found(offenders, entries, well=f"{entries} entries, and all balances against what was issued")


async def balances_equal_fold(connection: AsyncConnection) -> Finding:
    somewhere = random.randint(0, int((await connection.execute(LAST_ENTRY)).scalar_one()))  # noqa: S311 - a sample
    asked = {"entries": ENTRIES, "accounts": ACCOUNTS, "longest": ENTRIES_OF_ACCOUNT, "somewhere": somewhere}
    sample = list((await connection.execute(SAMPLE, asked)).scalars())
    folded: dict[UUID, Balance] = defaultdict(Balance)
    for account_id, data, version in await connection.execute(SAID, {"sample": sample}):
        movement = movement_of(event_from(ServiceName.BILLING, data, version))  # type: ignore[arg-type] # of this service's log
        if movement is not None:
            folded[account_id] = folded[account_id].after(movement)
    offenders = [
        f"account {account_id}: {shown} is kept, {folded[account_id]} is the fold"
        for account_id, *kept in await connection.execute(BALANCES, {"sample": sample})
        if (shown := Balance(*kept)) != folded[account_id]
    ]
    return found(offenders, len(sample), well=f"{len(sample)} accounts are the fold of their log")


async def holds_have_deployments(connection: AsyncConnection) -> Finding:
    """A hold is made on news of its deployment only; one whose deployment nobody knows is ended by an operator."""
    holds, unknown = (await connection.execute(UNKNOWN_HOLDS, {"holds": HOLDS})).one()
    offenders = [f"{stream}: its deployment was never heard of" for stream in unknown or ()]
    return found(offenders, holds, well=f"the newest {holds} holds")


async def holds_end(connection: AsyncConnection) -> Finding:
    """Billing has no clock for them: one that is old was forgotten by the hub, as after a restore of one database."""
    asked = {"accounts": HOLDING_ACCOUNTS, "holds": HOLDS, "hours": HOLD_LIMIT_HOURS}
    offenders = [
        f"deployment {deployment_id} has been reserved for {hours:.0f} h; account {account_id}"
        for account_id, deployment_id, hours in await connection.execute(OLD_HOLDS, asked)
    ]
    accounts = int((await connection.execute(HOLDING)).scalar_one())
    return found(offenders, accounts, well=f"{accounts} accounts hold credits, none for long")


LAWS_OF_MONEY = (
    Law("ledger_sums_to_zero", ledger_sums_to_zero),
    Law("balances_equal_fold", balances_equal_fold),
    Law("holds_have_deployments", holds_have_deployments),
    Law("holds_end", holds_end),
)
