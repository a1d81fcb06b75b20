"""The write side of the books: one balance row per account, locked while anything of it is decided and booked."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert

from pac.billing.books import Balance, Movement, movement_of
from pac.billing.figures import Figures
from pac.billing.tables import BALANCES, LEDGER
from pac.contracts.billing import BillingEvent
from pac.eventlog import Transaction


@dataclass(frozen=True)
class Locked:
    """An account's balance, which nobody else changes until this transaction ends."""

    account_id: UUID
    balance: Balance
    is_open: bool


@dataclass(frozen=True)
class Accounts:
    """Locks come in one order everywhere: the log's streams and the account's name, then the one balance row.

    Whoever waits, waits for the name: before the transaction has written anything, so that it holds back no reader
    of the log. The row is locked as well, against whoever does not know of the name.
    """

    figures: Figures = field(default_factory=Figures)

    def locks(self, account_id: UUID) -> Sequence[str]:
        return (f"balance-{account_id}",)

    async def lock(self, tx: Transaction, account_id: UUID) -> Locked:
        """The balance as it stands; an account never heard of is not open and has nothing."""
        columns = BALANCES.c
        result = await tx.execute(
            select(columns.available, columns.reserved, columns.spent, columns.opened_at)
            .where(columns.account_id == account_id)
            .with_for_update()
        )
        if (row := result.one_or_none()) is None:
            return Locked(account_id, Balance(), is_open=False)
        return Locked(account_id, Balance(row.available, row.reserved, row.spent), row.opened_at is not None)

    async def prepare(self, tx: Transaction, account_id: UUID) -> Locked:
        """As `lock`, but the row exists afterwards: a grant may come before its account is heard of."""
        row = {"account_id": account_id, "available": 0, "reserved": 0, "spent": 0}
        await tx.execute(upsert(BALANCES).values(row).on_conflict_do_nothing())
        return await self.lock(tx, account_id)

    async def open(self, tx: Transaction, account_id: UUID, at: datetime) -> None:
        row = update(BALANCES).where(BALANCES.c.account_id == account_id, BALANCES.c.opened_at.is_(None))
        await tx.execute(row.values(opened_at=at))

    async def book(
        self, tx: Transaction, locked: Locked, events: Sequence[BillingEvent], *, reason: str | None = None
    ) -> None:
        """Ledger entries and the new balance for what was just decided about this account."""
        tx.after_commit.append(lambda: self.figures.count(events))
        balance = locked.balance
        for event in events:
            if (movement := movement_of(event)) is None:
                continue
            balance = balance.after(movement)
            await tx.execute(insert(LEDGER).values(_row(movement, balance, event.at, reason)))
        if balance != locked.balance:
            await tx.execute(
                update(BALANCES)
                .where(BALANCES.c.account_id == locked.account_id)
                .values(available=balance.available, reserved=balance.reserved, spent=balance.spent)
            )


def _row(movement: Movement, balance: Balance, at: datetime, reason: str | None) -> dict[str, object]:
    return {
        "id": movement.id,
        "account_id": movement.account_id,
        "kind": movement.kind.value,
        "source": movement.source.value,
        "source_amount": -movement.credits,
        "target": movement.target.value,
        "target_amount": movement.credits,
        "amount": movement.amount,
        "balance": balance.available,
        "deployment_id": movement.deployment_id,
        "at": at,
        "reason": reason,
    }
