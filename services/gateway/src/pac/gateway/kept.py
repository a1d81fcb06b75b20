"""What the events of an account say, as rows; written in the transaction of the events."""

from collections.abc import Sequence
from typing import assert_never
from uuid import UUID

from sqlalchemy import ColumnElement, delete, insert, update

from pac.contracts.gateway import (
    AccountOpened,
    AccountResumed,
    AccountSuspended,
    MemberAdded,
    MemberChanged,
    MemberRemoved,
)
from pac.eventlog import Then, Transaction
from pac.gateway.domain import Account, AccountEvent
from pac.gateway.tables import accounts, members


def keep_account(name: str = "") -> Then[Account, AccountEvent]:
    """What the events of an account say, as rows. `name`: of one that is opened; personal data, so in no event."""

    async def keep(tx: Transaction, _before: Account, events: Sequence[AccountEvent], _after: Account) -> None:
        for event in events:
            match event:
                case AccountOpened(account_id=account_id, at=at):
                    await tx.execute(insert(accounts).values(id=account_id, name=name, created_at=at))
                case AccountSuspended(account_id=account_id, at=at):
                    await tx.execute(update(accounts).where(accounts.c.id == account_id).values(suspended_at=at))
                case AccountResumed(account_id=account_id):
                    await tx.execute(update(accounts).where(accounts.c.id == account_id).values(suspended_at=None))
                case MemberAdded(account_id=account_id, user_id=user_id, role=role, at=at):
                    row = {"account_id": account_id, "user_id": user_id, "role": role, "created_at": at}
                    await tx.execute(insert(members).values(row))
                case MemberChanged(account_id=account_id, user_id=user_id, role=role):
                    await tx.execute(update(members).where(*_member(account_id, user_id)).values(role=role))
                case MemberRemoved(account_id=account_id, user_id=user_id):
                    await tx.execute(delete(members).where(*_member(account_id, user_id)))
                case _:
                    assert_never(event)

    return keep


def _member(account_id: UUID, user_id: UUID) -> Sequence[ColumnElement[bool]]:
    return (members.c.account_id == account_id, members.c.user_id == user_id)
