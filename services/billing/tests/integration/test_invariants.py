"""The live laws of money: each broken by hand is named, and it alone."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from pac.billing.accounts import Accounts
from pac.billing.consumers import Consumers
from pac.billing.invariants import LAWS_OF_MONEY
from pac.billing.queries import Queries
from pac.contracts.topics import ServiceName
from pac.servicekit.invariants import Invariants
from pac.testkit.postgres import EventLogOf

from .conftest import SIGN_UP_CREDITS, Billing

MOVED = """
UPDATE state.balances SET available = available + CASE account_id WHEN (SELECT min(account_id::text)::uuid
    FROM state.balances) THEN 1 ELSE -1 END
"""


@pytest.fixture
async def busy(event_log_of: EventLogOf) -> Billing:
    """Two accounts with a capture, a release, a hold and a refusal each."""
    log = await event_log_of(ServiceName.BILLING)
    billing = Billing(log, Consumers(log, Accounts(), SIGN_UP_CREDITS), Queries(log.engine))
    for account in (uuid4(), uuid4()):
        await billing.open_account(account)
        captured, released, held, refused = (uuid4() for _ in range(4))
        for deployment, size in ((captured, 2), (released, 3), (held, 1), (refused, 1000)):
            await billing.hear(billing.queued(account, deployment, size))
        await billing.hear(billing.finalizing(account, captured))
        await billing.hear(billing.aborted(account, released))
    return billing


async def told(billing: Billing) -> dict[str, dict[str, Any]]:
    judged = await Invariants(billing.log, LAWS_OF_MONEY).look()
    assert judged.unchecked == []
    return {law["name"]: law for law in judged.laws}


async def test_all_hold_and_say_what_they_looked_at(busy: Billing) -> None:
    found = await told(busy)
    assert {name: (law["holds"], law["checked"]) for name, law in found.items()} == {
        "ledger_sums_to_zero": (True, 12),
        "balances_equal_fold": (True, 2),
        "holds_have_deployments": (True, 6),
        "holds_end": (True, 2),
    }


@pytest.mark.parametrize(
    ("broken_by", "law", "detail"),
    [
        (
            "INSERT INTO state.balances (account_id, available) VALUES (gen_random_uuid(), 5)",
            "ledger_sums_to_zero",
            "all balances less what was issued: 5",
        ),
        (MOVED, "balances_equal_fold", "is the fold"),
        ("DELETE FROM log.inbox WHERE source = 'deployments'", "holds_have_deployments", "was never heard of; 3 more"),
        (
            "ALTER TABLE state.ledger DISABLE TRIGGER USER; UPDATE state.ledger SET at = now() - interval '50 h'",
            "holds_end",
            "has been reserved for 50 h; account",
        ),
    ],
)
async def test_what_is_broken_is_named_and_the_others_hold(
    busy: Billing, broken_by: str, law: str, detail: str
) -> None:
    async with busy.log.engine.begin() as connection:
        await connection.execute(text(broken_by))
    found = await told(busy)
    assert [name for name in found if not found[name]["holds"]] == [law]
    assert detail in found[law]["detail"]


async def test_a_billing_without_accounts_breaks_nothing(event_log_of: EventLogOf) -> None:
    log = await event_log_of(ServiceName.BILLING)
    judged = await Invariants(log, LAWS_OF_MONEY).look()
    assert (judged.broken, judged.unchecked) == ([], [])
