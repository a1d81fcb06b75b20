import asyncio
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.exc import DBAPIError

from pac.billing.accounts import Accounts, Locked
from pac.billing.books import Balance
from pac.billing.consumers import Consumers
from pac.billing.laws import LedgerBroken, broken_laws, check_ledger
from pac.billing.queries import Queries
from pac.billing.tables import BALANCES, LEDGER
from pac.contracts.base import Source
from pac.contracts.topics import ServiceName
from pac.eventlog import AlreadySeen, TooEarly, Transaction
from pac.servicekit.http import Page
from pac.testkit.postgres import EventLogOf

from .conftest import SIGN_UP_CREDITS, Billing


async def test_an_opened_account_has_its_sign_up_credits(billing: Billing) -> None:
    account_id = uuid4()
    await billing.open_account(account_id)
    assert await billing.queries.balance(account_id) == Balance(SIGN_UP_CREDITS)


async def test_fifty_at_once_on_ten_credits_are_ten_reserved_and_forty_refused(billing: Billing) -> None:
    account_id = uuid4()
    await billing.open_account(account_id)
    deployments = [uuid4() for _ in range(50)]
    await asyncio.gather(*(billing.hear(billing.queued(account_id, one)) for one in deployments))
    said = [await billing.said(one) for one in deployments]
    assert sorted(said) == [["CreditsRefused"]] * 40 + [["CreditsReserved"]] * 10
    assert await billing.queries.balance(account_id) == Balance(0, 10, 0)


class Careless(Accounts):
    """The variant one would write first: the balance is read, but not locked."""

    def locks(self, account_id: UUID) -> Sequence[str]:
        del account_id
        return ()

    async def lock(self, tx: Transaction, account_id: UUID) -> Locked:
        row = (await tx.execute(select(BALANCES).where(BALANCES.c.account_id == account_id))).one()
        return Locked(account_id, Balance(row.available, row.reserved, row.spent), is_open=True)


async def test_without_the_lock_the_laws_of_money_break(event_log_of: EventLogOf) -> None:
    log = await event_log_of(ServiceName.BILLING)
    billing = Billing(log, Consumers(log, Careless(), SIGN_UP_CREDITS), Queries(log.engine))
    account_id = uuid4()
    await billing.open_account(account_id)
    messages = [billing.queued(account_id, uuid4()) for _ in range(50)]
    await asyncio.gather(*(billing.hear(message) for message in messages), return_exceptions=True)
    async with log.engine.connect() as connection:
        with pytest.raises(LedgerBroken, match="a balance is the fold of the log"):
            await check_ledger(connection)


async def test_a_redelivered_message_changes_nothing(billing: Billing) -> None:
    account_id, deployment_id = uuid4(), uuid4()
    await billing.open_account(account_id)
    messages = [billing.queued(account_id, deployment_id, 3), billing.aborted(account_id, deployment_id)]
    for message in messages:
        await billing.hear(message)
    for message in messages:
        with pytest.raises(AlreadySeen):
            await billing.hear(message)
    assert await billing.said(deployment_id) == ["CreditsReserved", "CreditsReleased"]
    assert await billing.queries.balance(account_id) == Balance(SIGN_UP_CREDITS)


async def test_a_capture_asked_twice_captures_once(billing: Billing) -> None:
    account_id, deployment_id = uuid4(), uuid4()
    await billing.open_account(account_id)
    await billing.hear(billing.queued(account_id, deployment_id, 3))
    await billing.hear(billing.finalizing(account_id, deployment_id, 1))
    await billing.hear(billing.finalizing(account_id, deployment_id, 2))
    assert await billing.said(deployment_id) == ["CreditsReserved", "CreditsCaptured"]
    assert await billing.queries.balance(account_id) == Balance(SIGN_UP_CREDITS - 3, 0, 3)


async def test_an_abort_said_again_releases_once(billing: Billing) -> None:
    account_id, deployment_id = uuid4(), uuid4()
    await billing.open_account(account_id)
    await billing.hear(billing.queued(account_id, deployment_id, 3))
    await billing.hear(billing.aborted(account_id, deployment_id))
    await billing.hear(billing.aborted(account_id, deployment_id))
    assert await billing.said(deployment_id) == ["CreditsReserved", "CreditsReleased"]


async def test_a_refused_deployment_has_nothing_to_release(billing: Billing) -> None:
    account_id, deployment_id = uuid4(), uuid4()
    await billing.open_account(account_id)
    await billing.hear(billing.queued(account_id, deployment_id, SIGN_UP_CREDITS + 1))
    await billing.hear(billing.aborted(account_id, deployment_id))
    assert await billing.said(deployment_id) == ["CreditsRefused"]
    told = (await billing.log.history(f"hold-{deployment_id}"))[0].event
    assert told.model_dump(include={"required", "available"}) == {"required": 11, "available": 10}


async def test_a_deployment_of_an_unknown_account_waits_and_is_not_refused(billing: Billing) -> None:
    account_id, deployment_id = uuid4(), uuid4()
    message = billing.queued(account_id, deployment_id)
    with pytest.raises(TooEarly):
        await billing.hear(message)
    assert await billing.said(deployment_id) == []
    await billing.open_account(account_id)
    await billing.hear(message)
    assert await billing.said(deployment_id) == ["CreditsReserved"]


async def test_a_free_deployment_goes_the_same_way_and_leaves_no_entry(billing: Billing) -> None:
    account_id, deployment_id = uuid4(), uuid4()
    await billing.open_account(account_id)
    await billing.hear(billing.queued(account_id, deployment_id, source=Source.ROLLBACK))
    await billing.hear(billing.finalizing(account_id, deployment_id))
    assert await billing.said(deployment_id) == ["CreditsReserved", "CreditsCaptured"]
    assert len((await billing.queries.ledger(account_id, Page(50))).entries) == 1


async def test_the_ledger_is_read_in_pages_from_the_newest_down(billing: Billing) -> None:
    account_id, deployment_id = uuid4(), uuid4()
    await billing.open_account(account_id)
    await billing.hear(billing.queued(account_id, deployment_id, 4))
    await billing.hear(billing.finalizing(account_id, deployment_id))
    page = await billing.queries.ledger(account_id, Page(2))
    assert [(entry.kind, entry.amount, entry.balance) for entry in page.entries] == [
        ("capture", 0, 6),
        ("reserve", -4, 6),
    ]
    assert {entry.deployment_id for entry in page.entries} == {deployment_id}
    assert page.next_cursor is not None
    last = await billing.queries.ledger(account_id, Page(2, (2,)))
    assert [(entry.kind, entry.amount, entry.balance) for entry in last.entries] == [("grant", 10, 10)]
    assert last.next_cursor is None


async def test_the_ledger_cannot_be_changed_but_for_taking_a_reason_out(billing: Billing) -> None:
    await billing.open_account(uuid4())
    for statement in ("UPDATE state.ledger SET amount = 7", "DELETE FROM state.ledger", "TRUNCATE state.ledger"):
        with pytest.raises(DBAPIError, match="append-only"):
            async with billing.log.engine.begin() as connection:
                await connection.execute(text(statement))
    async with billing.log.engine.begin() as connection:
        await connection.execute(update(LEDGER).values(reason=None))


async def test_the_laws_find_a_balance_that_somebody_changed(event_log_of: EventLogOf) -> None:
    log = await event_log_of(ServiceName.BILLING)
    billing = Billing(log, Consumers(log, Accounts(), SIGN_UP_CREDITS), Queries(log.engine))
    await billing.open_account(uuid4())
    async with log.engine.begin() as connection:
        assert await broken_laws(connection) == []
        await connection.execute(update(BALANCES).values(available=SIGN_UP_CREDITS + 1))
        found = await broken_laws(connection)
    assert [line.partition(":")[0] for line in found] == [
        "a balance is the sum of its ledger",
        "a balance is the fold of the log",
    ]


async def test_a_balance_below_zero_cannot_be_written(billing: Billing) -> None:
    row = {"account_id": uuid4(), "available": -1, "reserved": 0, "spent": 0}
    with pytest.raises(DBAPIError, match="available"):
        async with billing.log.engine.begin() as connection:
            await connection.execute(insert(BALANCES).values(row))


async def test_random_news_in_any_order_keeps_the_laws(billing: Billing) -> None:
    accounts = [uuid4() for _ in range(3)]
    for account_id in accounts:
        await billing.open_account(account_id)

    async def live(number: int) -> None:
        account_id, deployment_id = accounts[number % 3], uuid4()
        await billing.hear(billing.queued(account_id, deployment_id, 1 + number % 4))
        if await billing.said(deployment_id) == ["CreditsReserved"] and number % 2:
            await billing.hear(billing.finalizing(account_id, deployment_id))
        else:
            await billing.hear(billing.aborted(account_id, deployment_id))

    await asyncio.gather(*(live(number) for number in range(30)))
    async with billing.log.engine.connect() as connection:
        held = await connection.scalar(select(func.sum(BALANCES.c.reserved)))
    assert held == 0
