"""Accounts and their members: what the gateway serves about them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web
from sqlalchemy import Row

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.eventlog import EventLog, Transaction
from pac.gateway.believed import Believed
from pac.gateway.domain import (
    ACCOUNT,
    Account,
    AccountEvent,
    OpenAccount,
    PutMember,
    RemoveMember,
    ResumeAccount,
    Role,
    SuspendAccount,
    personal_account,
)
from pac.gateway.kept import keep_account
from pac.gateway.queries import Queries
from pac.gateway.views import (
    AccountReply,
    AccountsReply,
    AccountView,
    MemberReply,
    MembersReply,
    MemberView,
    MessageReply,
    MyAccountView,
    NewAccount,
    NewMember,
    Nothing,
)
from pac.servicekit.answers import reply
from pac.servicekit.idempotency import attempt_of
from pac.servicekit.requests import body_in, cause_of, page_in, uuid_in

PLACE = (str, str)  # a cursor's values: time and id of the last row


@dataclass(frozen=True)
class AccountsApi:
    log: EventLog
    queries: Queries
    believed: Believed
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def list_accounts(self, _request: web.Request, caller: Caller) -> web.Response:
        """Those that the caller may act for: a user's, the personal one first; an API key's one."""
        user_id = user_of(caller)
        if user_id is not None:
            shown = tuple(_mine(row, Role(row.role), user_id) for row in await self.queries.accounts_of(user_id))
        else:
            row = await self.queries.account(account_of(caller))
            shown = () if row is None else (_mine(row, None, None),)
        return reply(AccountsReply(accounts=shown, next_cursor=None))

    async def list_members(self, request: web.Request, caller: Caller) -> web.Response:
        listed = await self.queries.members(account_of(caller), page_in(request, PLACE))
        views = tuple(MemberView.model_validate(row, from_attributes=True) for row in listed.rows)
        return reply(MembersReply(members=views, next_cursor=listed.next_cursor))

    async def put_member(self, request: web.Request, caller: Caller) -> web.Response:
        """201 for somebody new, 200 for another role; whom nobody has seen yet is a member once they come."""
        wish = await body_in(request, NewMember)
        command = PutMember(account_of(caller), wish.user_id, wish.role, self.now())
        is_new = await self.queries.member(command.account_id, wish.user_id) is None
        await self._execute(request, command)
        row = await self.queries.member(command.account_id, wish.user_id)
        if row is None:
            raise Refused(ErrorCode.CONFLICT)  # removed by somebody else at this moment
        member = MemberView.model_validate(row, from_attributes=True)
        return reply(MemberReply(member=member), status=201 if is_new else 200)

    async def remove_member(self, request: web.Request, caller: Caller) -> web.Response:
        await self._execute(request, RemoveMember(account_of(caller), uuid_in(request, "user_id"), self.now()))
        return reply(MessageReply(message="Member removed successfully"))

    async def _execute(self, request: web.Request, command: PutMember | RemoveMember) -> None:
        await self.log.execute(ACCOUNT, command.account_id, command, cause=cause_of(request), then=keep_account())
        self.believed.forget_user(command.user_id)

    async def open_account(self, request: web.Request, _caller: Caller) -> web.Response:
        wish = await body_in(request, NewAccount)
        command = OpenAccount(uuid4(), self.now())
        view = AccountView(id=command.account_id, name=wish.name, created_at=command.at)
        answer, keep_row = reply(AccountReply(account=view), status=201), keep_account(wish.name)

        async def keep(tx: Transaction, before: Account, events: Sequence[AccountEvent], after: Account) -> None:
            await keep_row(tx, before, events, after)
            await attempt_of(request).answer_in(tx.connection, answer)

        await self.log.execute(ACCOUNT, command.account_id, command, cause=cause_of(request), then=keep)
        return answer

    async def suspend_account(self, request: web.Request, _caller: Caller) -> web.Response:
        await body_in(request, Nothing)
        return await self._suspension(request, SuspendAccount(uuid_in(request, "account_id"), self.now()))

    async def resume_account(self, request: web.Request, _caller: Caller) -> web.Response:
        return await self._suspension(request, ResumeAccount(uuid_in(request, "account_id"), self.now()))

    async def _suspension(self, request: web.Request, command: SuspendAccount | ResumeAccount) -> web.Response:
        await self.log.execute(ACCOUNT, command.account_id, command, cause=cause_of(request), then=keep_account())
        self.believed.forget_account(command.account_id)
        row = await self.queries.account(command.account_id)
        return reply(AccountReply(account=AccountView.model_validate(row, from_attributes=True)))


def account_of(caller: Caller) -> UUID:
    assert caller.account_id is not None, "the gate lets nobody else here"
    return caller.account_id


def user_of(caller: Caller) -> UUID | None:
    """None for an API key."""
    kind, _, user_id = caller.actor.partition("-")
    return UUID(user_id) if kind == "user" else None


def _mine(row: Row[Any], role: Role | None, user_id: UUID | None) -> MyAccountView:
    is_personal = user_id is not None and row.id == personal_account(user_id)
    name = row.name or ("Personal account" if is_personal else "")
    return MyAccountView(
        id=row.id,
        name=name,
        created_at=row.created_at,
        suspended_at=row.suspended_at,
        role=role,
        personal=is_personal,
    )
