"""What billing keeps in tables, in memory: balances and the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from pac.billing.accounts import Accounts, Locked
from pac.billing.books import Balance, Book, Movement, movement_of
from pac.contracts.billing import BillingEvent
from pac.eventlog import Transaction

from .world import Journal, Rows


@dataclass(frozen=True)
class Row:
    balance: Balance = field(default_factory=Balance)
    is_open: bool = False


class MemoryAccounts(Accounts):
    def __init__(self, journal: Journal) -> None:
        self.rows: Rows[UUID, Row] = Rows(journal)
        self.ledger: Rows[UUID, Movement] = Rows(journal)

    async def lock(self, tx: Transaction, account_id: UUID) -> Locked:
        del tx
        row = self.rows.get(account_id, Row())
        return Locked(account_id, row.balance, row.is_open)

    async def prepare(self, tx: Transaction, account_id: UUID) -> Locked:
        if account_id not in self.rows:
            self.rows[account_id] = Row()
        return await self.lock(tx, account_id)

    async def open(self, tx: Transaction, account_id: UUID, at: datetime) -> None:
        del tx, at
        self.rows[account_id] = replace(self.rows[account_id], is_open=True)

    async def book(
        self, tx: Transaction, locked: Locked, events: Sequence[BillingEvent], *, reason: str | None = None
    ) -> None:
        del tx, reason
        balance = locked.balance
        for event in events:
            if (movement := movement_of(event)) is None:
                continue
            if movement.id in self.ledger:
                raise ValueError("booked twice")  # the table's primary key
            balance = balance.after(movement)
            self.ledger[movement.id] = movement
        if balance != locked.balance:
            self.rows[locked.account_id] = replace(self.rows[locked.account_id], balance=balance)

    def sums(self, account_id: UUID) -> dict[Book, int]:
        """Of the ledger's legs."""
        found = dict.fromkeys(Book, 0)
        for movement in self.ledger.values():
            if movement.account_id == account_id:
                for book, amount in movement.legs.items():
                    found[book] += amount
        return found
