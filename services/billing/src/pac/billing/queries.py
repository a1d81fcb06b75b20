"""Reading the books: an account's balance, and its ledger as pages from the newest entry down."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pac.billing.books import Balance
from pac.billing.tables import BALANCES, LEDGER
from pac.contracts.base import iso
from pac.contracts.bodies.billing import Entry, LedgerPage
from pac.eventlog import unavailable
from pac.servicekit.http import Page, cursor_of

NUMBER_MAX = 2**63 - 1  # what a bigint holds: a cursor is made of a stranger's text


@dataclass(frozen=True)
class Queries:
    engine: AsyncEngine

    async def balance(self, account_id: UUID) -> Balance:
        """One row, so read at one position. An account that billing has not heard of yet has nothing."""
        columns = BALANCES.c
        statement = select(columns.available, columns.reserved, columns.spent).where(columns.account_id == account_id)
        with unavailable():
            async with self.engine.connect() as connection:
                row = (await connection.execute(statement)).one_or_none()
        return Balance(row.available, row.reserved, row.spent) if row else Balance()

    async def is_open(self, account_id: UUID) -> bool:
        """Whether billing has heard of the account, so that its first credits are there."""
        opened = select(BALANCES.c.opened_at).where(BALANCES.c.account_id == account_id)
        with unavailable():
            async with self.engine.connect() as connection:
                return (await connection.execute(opened)).scalar_one_or_none() is not None

    async def ledger(self, account_id: UUID, page: Page) -> LedgerPage:
        statement = entries().where(LEDGER.c.account_id == account_id).order_by(LEDGER.c.number.desc())
        if page.after:
            statement = statement.where(LEDGER.c.number < min(int(page.after[0]), NUMBER_MAX))
        with unavailable():
            async with self.engine.connect() as connection:
                rows = (await connection.execute(statement.limit(page.limit + 1))).all()
        shown = rows[: page.limit]
        return LedgerPage(
            entries=tuple(Entry.model_validate(row) for row in shown),
            next_cursor=cursor_of(shown[-1].number) if len(rows) > page.limit else None,
        )


async def movements_of(connection: AsyncConnection, deployment_id: UUID) -> list[dict[str, Any]]:
    """What a proof says of the ledger: a deployment's entries with both legs. A reason is never in it."""
    rows = await connection.execute(
        select(LEDGER).where(LEDGER.c.deployment_id == deployment_id).order_by(LEDGER.c.number)
    )
    return [
        {
            "id": str(row.id),
            "at": iso(row.at),
            "kind": row.kind,
            "amount": row.amount,
            "balance": row.balance,
            "legs": {row.source: row.source_amount, row.target: row.target_amount},
        }
        for row in rows
    ]


async def entry_of(connection: AsyncConnection, entry_id: UUID) -> Entry | None:
    row = (await connection.execute(entries().where(LEDGER.c.id == entry_id))).one_or_none()
    return Entry.model_validate(row) if row else None


def entries() -> Select[tuple[object, ...]]:
    columns = LEDGER.c
    return select(
        columns.number,
        columns.id,
        columns.at,
        columns.kind,
        columns.amount,
        columns.balance,
        columns.deployment_id,
        columns.reason,
    )
