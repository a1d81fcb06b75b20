"""Sessions: a Supabase access token, in its cookie or as Bearer. At first sight a user gets an account of their own."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import structlog
from aiohttp import hdrs, web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.eventlog import Cause, EventLog
from pac.gateway.auth import SAFE_METHODS, bearer
from pac.gateway.cookies import looks_like_a_token, session_tokens
from pac.gateway.domain import ACCOUNT, OpenAccount, personal_account
from pac.gateway.held import Held
from pac.gateway.kept import keep_account
from pac.gateway.origins import Origins
from pac.gateway.queries import Seat
from pac.gateway.tokens import AccessTokens, NotASession
from pac.gateway.who import Who, of_user
from pac.servicekit.http import set_caller
from pac.servicekit.requests import cause_of

logger = structlog.get_logger(__name__)
Seats = tuple[Seat, ...]


class SeatSource(Protocol):
    async def seats_of(self, user_id: UUID) -> Sequence[Seat]: ...


class Doors(Protocol):
    async def open_for(self, user_id: UUID, cause: Cause) -> None:
        """The user's personal account, which may be open already."""
        ...


@dataclass(frozen=True)
class Sessions:
    tokens: AccessTokens
    source: SeatSource
    doors: Doors
    origins: Origins
    held: Held[UUID, Seats]

    async def who(self, request: web.Request) -> Who | None:
        token = bearer(request)
        if token is not None:
            user_id = await self._user_of([token] if looks_like_a_token(token) else [])
        elif cookies := session_tokens(request.headers.getall(hdrs.COOKIE, ())):
            user_id = await self._user_of(cookies)
            if request.method not in SAFE_METHODS:
                self.origins.check(request)
        else:
            return None
        return of_user(user_id, await self._seats_of(user_id, request))

    async def _user_of(self, tokens: Sequence[str]) -> UUID:
        """Of the first that is one. A cookie of another project, or a stale one, may come beside it."""
        for token in tokens:
            try:
                return await self.tokens.user_of(token)
            except NotASession as reason:
                logger.info("session_refused", reason=str(reason))
        raise Refused(ErrorCode.UNAUTHENTICATED)

    async def _seats_of(self, user_id: UUID, request: web.Request) -> Seats:
        seats = await self._held_seats(user_id, request)
        if any(seat.account_id == personal_account(user_id) for seat in seats):
            return seats
        set_caller(request, Caller(actor=f"user-{user_id}"))
        await self.doors.open_for(user_id, cause_of(request))
        self.forget(user_id)
        return await self._held_seats(user_id, request)

    async def _held_seats(self, user_id: UUID, request: web.Request) -> Seats:
        async def read() -> Seats | None:
            return tuple(await self.source.seats_of(user_id)) or None

        return await self.held.known(user_id, read, is_read=request.method in SAFE_METHODS) or ()

    def forget(self, user_id: UUID) -> None:
        self.held.forget(lambda known, _: known == user_id)

    def forget_account(self, account_id: UUID) -> None:
        self.held.forget(lambda _, seats: any(seat.account_id == account_id for seat in seats))


@dataclass(frozen=True)
class FirstSight:
    """Two first requests at once, in whatever processes, open one account: its id follows from the user's."""

    log: EventLog

    async def open_for(self, user_id: UUID, cause: Cause) -> None:
        command = OpenAccount(personal_account(user_id), datetime.now(UTC), owner_id=user_id)
        await self.log.execute(ACCOUNT, command.account_id, command, cause=cause, then=keep_account())
