"""Accounts and their members: what is kept of them, and what the gateway serves about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never
from uuid import UUID, uuid4

from aiohttp import web
from sqlalchemy import ColumnElement, delete, insert, update

from pac.contracts.api import Reply, Request
from pac.contracts.base import Moment
from pac.contracts.gateway import AccountOpened, MemberAdded, MemberChanged, MemberRemoved
from pac.contracts.identity import Caller
from pac.eventlog import EventLog, Then, Transaction
from pac.gateway.domain import ACCOUNT, Account, AccountEvent, OpenAccount
from pac.gateway.names import Name
from pac.gateway.queries import Queries
from pac.gateway.tables import accounts, members
from pac.servicekit.answers import reply
from pac.servicekit.requests import body_in, cause_of


class NewAccount(Request):
    name: Name


class AccountView(Reply):
    id: UUID
    name: str
    created_at: Moment


@dataclass(frozen=True)
class AccountsApi:
    log: EventLog
    queries: Queries
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def open_account(self, request: web.Request, _caller: Caller) -> web.Response:
        wish = await body_in(request, NewAccount)
        command = OpenAccount(uuid4(), self.now())
        await self.log.execute(
            ACCOUNT, command.account_id, command, cause=cause_of(request), then=keep_account(wish.name)
        )
        return reply({"account": AccountView(id=command.account_id, name=wish.name, created_at=command.at)}, status=201)


def keep_account(name: str = "") -> Then[Account, AccountEvent]:
    """What the events of an account say, as rows. `name`: of one that is opened; personal data, so in no event."""

    async def keep(tx: Transaction, _before: Account, events: Sequence[AccountEvent], _after: Account) -> None:
        for event in events:
            match event:
                case AccountOpened(account_id=account_id, at=at):
                    await tx.execute(insert(accounts).values(id=account_id, name=name, created_at=at))
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
