"""Reads of the gateway's own tables, always within one account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, Table, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import AppClaim, Scope
from pac.eventlog import unavailable
from pac.gateway.domain import Role, personal_account
from pac.gateway.tables import accounts, agent_apps, api_keys, members
from pac.servicekit.requests import Page, cursor_of

ACCOUNTS_OF_A_USER_MAX = 100


@dataclass(frozen=True)
class FoundKey:
    """A key that is not revoked. Whether it has expired is for the asker's clock."""

    id: UUID
    account_id: UUID
    scopes: frozenset[Scope]
    expires_at: datetime | None
    is_suspended: bool = False


@dataclass(frozen=True)
class Seat:
    """A user's place in an account."""

    account_id: UUID
    role: Role
    is_suspended: bool = False


@dataclass(frozen=True)
class Listed:
    rows: Sequence[Row[Any]]
    next_cursor: str | None


_WRITE_USES = text(
    """
    UPDATE state.api_keys AS key SET last_used_at = used.at
      FROM unnest(CAST(:ids AS uuid[]), CAST(:times AS timestamptz[])) AS used (id, at)
     WHERE key.id = used.id AND (key.last_used_at IS NULL OR key.last_used_at < used.at)
    """
)


@dataclass(frozen=True)
class Queries:
    engine: AsyncEngine

    async def find_key(self, digest: bytes) -> FoundKey | None:
        live = select(api_keys, accounts.c.suspended_at).join(accounts, accounts.c.id == api_keys.c.account_id)
        row = await self._one(live.where(api_keys.c.hash == digest, api_keys.c.revoked_at.is_(None)))
        if row is None:
            return None
        known = frozenset(Scope(name) for name in row.scopes if name in set(Scope))
        return FoundKey(row.id, row.account_id, known, row.expires_at, row.suspended_at is not None)

    async def write_uses(self, last: dict[UUID, datetime]) -> None:
        ids = sorted(last)  # always in one order, so that two processes do not wait for each other in a circle
        with unavailable():
            async with self.engine.begin() as connection:
                await connection.execute(_WRITE_USES, {"ids": ids, "times": [last[key_id] for key_id in ids]})

    async def accounts_of(self, user_id: UUID) -> Sequence[Row[Any]]:
        """The user's accounts, the personal one first, then in the order of becoming a member."""
        mine = select(accounts, members.c.role).join(members, members.c.account_id == accounts.c.id)
        order = (accounts.c.id != personal_account(user_id), members.c.created_at, accounts.c.id)
        query = mine.where(members.c.user_id == user_id).order_by(*order)
        return await self._all(query.limit(ACCOUNTS_OF_A_USER_MAX))

    async def seats_of(self, user_id: UUID) -> Sequence[Seat]:
        rows = await self.accounts_of(user_id)
        return [Seat(row.id, Role(row.role), row.suspended_at is not None) for row in rows]

    async def account(self, account_id: UUID) -> Row[Any] | None:
        return await self._one(select(accounts).where(accounts.c.id == account_id))

    async def member(self, account_id: UUID, user_id: UUID) -> Row[Any] | None:
        mine = (members.c.account_id == account_id, members.c.user_id == user_id)
        return await self._one(select(members).where(*mine))

    async def members(self, account_id: UUID, page: Page) -> Listed:
        return await self._page(select(members).where(members.c.account_id == account_id), members, page, "user_id")

    async def app_claim(self, app_id: UUID, account_ids: Sequence[UUID]) -> tuple[UUID, AppClaim] | None:
        """The app and whose it is; None if there is no such app, if it is deleted, or of none of these accounts."""
        row = await self._one(select(agent_apps).where(*_app(app_id, account_ids)))
        return row and (
            row.account_id,
            AppClaim(id=row.id, signature_policy=row.signature_policy, deploy_policy=row.deploy_policy),
        )

    async def app(self, app_id: UUID, account_id: UUID) -> Row[Any] | None:
        return await self._one(select(agent_apps).where(*_app(app_id, [account_id])))

    async def account_exists(self, account_id: UUID) -> bool:
        return await self._one(select(accounts.c.id).where(accounts.c.id == account_id)) is not None

    async def apps(self, account_id: UUID, page: Page) -> Listed:
        live = select(agent_apps).where(agent_apps.c.account_id == account_id, agent_apps.c.deleted_at.is_(None))
        return await self._page(live, agent_apps, page)

    async def keys(self, account_id: UUID, page: Page) -> Listed:
        live = select(api_keys).where(api_keys.c.account_id == account_id, api_keys.c.revoked_at.is_(None))
        return await self._page(live, api_keys, page)

    async def _one(self, query: Select[Any]) -> Row[Any] | None:
        with unavailable():
            async with self.engine.connect() as connection:
                row: Row[Any] | None = (await connection.execute(query)).one_or_none()
        return row

    async def _all(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with unavailable():
            async with self.engine.connect() as connection:
                rows: Sequence[Row[Any]] = (await connection.execute(query)).all()
        return rows

    async def _page(self, query: Select[Any], table: Table, page: Page, key: str = "id") -> Listed:
        """Oldest first, so that a page once read does not shift when something is added."""
        if page.after:
            query = query.where(tuple_(table.c.created_at, table.c[key]) > tuple_(*_place(page)))
        query = query.order_by(table.c.created_at, table.c[key]).limit(page.limit + 1)
        rows = await self._all(query)
        if len(rows) <= page.limit:
            return Listed(rows, None)
        last = rows[page.limit - 1]
        return Listed(rows[: page.limit], cursor_of(last.created_at.isoformat(), str(getattr(last, key))))


def _place(page: Page) -> tuple[datetime, UUID]:
    moment, row_id = page.after
    try:
        return datetime.fromisoformat(str(moment)), UUID(str(row_id))
    except ValueError:
        raise Refused(ErrorCode.INVALID_REQUEST, details=["cursor: not one that this list has given out"]) from None


def _app(app_id: UUID, account_ids: Sequence[UUID]) -> Sequence[ColumnElement[bool]]:
    return (
        agent_apps.c.id == app_id,
        agent_apps.c.account_id.in_(account_ids),
        agent_apps.c.deleted_at.is_(None),
    )
