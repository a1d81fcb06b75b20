"""In over HTTP: an account reads its credits, an operator grants them."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4, uuid5

from aiohttp import web

from pac.billing.accounts import Accounts
from pac.billing.domain import ACCOUNT, Grant
from pac.billing.pricing import cost_of
from pac.billing.queries import Queries, entry_of
from pac.contracts.base import Source
from pac.contracts.bodies.billing import CreditsReply, Entry, EntryReply, GrantRequest, QuoteReply
from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.eventlog import Cause, EventLog
from pac.servicekit.http import body_in, caller_of, cause_of, page_in, reply, uuid_in

IDEMPOTENCY_KEY_MAX_CHARACTERS = 255


@dataclass(frozen=True)
class Api:
    log: EventLog
    accounts: Accounts
    queries: Queries

    async def get_credits(self, request: web.Request) -> web.Response:
        account_id = account_of(caller_of(request))
        balance = await self.queries.balance(account_id)
        return reply(
            CreditsReply(
                account_id=account_id, available=balance.available, reserved=balance.reserved, spent=balance.spent
            )
        )

    async def get_quote(self, request: web.Request) -> web.Response:
        """What a deployment of `?size_bytes=` would cost, and what would be left.

        The gateway asks: for a dry run, and before it lets a package come.
        """
        account_id, size = account_of(caller_of(request)), request.query.get("size_bytes", "")
        if not re.fullmatch(r"[0-9]{1,15}", size):
            raise Refused(ErrorCode.INVALID_REQUEST, details=["size_bytes: a whole number"])
        cost, balance = cost_of(int(size), Source.UPLOAD, billable=True), await self.queries.balance(account_id)
        left = balance.available - cost
        short = left < 0 and balance.reserved == 0 and await self.queries.is_open(account_id)
        return reply(
            QuoteReply(cost=cost, available=balance.available, balance_after=left, sufficient=left >= 0, short=short)
        )

    async def get_ledger(self, request: web.Request) -> web.Response:
        account_id = account_of(caller_of(request))
        return reply(await self.queries.ledger(account_id, page_in(request, (int,))))

    async def grant_credits(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        if not caller.operator:
            raise Refused(ErrorCode.FORBIDDEN)
        account_id, wish = uuid_in(request, "account_id"), await body_in(request, GrantRequest)
        entry = await self._grant(account_id, wish, grant_id_for(request, account_id), cause_of(request))
        return reply(EntryReply(entry=entry), status=201)

    async def _grant(self, account_id: UUID, wish: GrantRequest, grant_id: UUID, cause: Cause) -> Entry:
        locks = self.accounts.locks(account_id)
        async with self.log.transaction(ACCOUNT.stream(account_id), cause=cause, locks=locks) as tx:
            locked = await self.accounts.prepare(tx, account_id)
            command = Grant(account_id, grant_id, wish.amount, locked.balance.available, datetime.now(UTC))
            granted, _ = await tx.decide(ACCOUNT, account_id, command)
            await self.accounts.book(tx, locked, granted, reason=wish.reason)
            entry = await entry_of(tx.connection, grant_id)
        assert entry is not None
        if entry.amount != wish.amount or entry.reason not in (None, wish.reason):  # a reason may have been taken out
            raise Refused(ErrorCode.IDEMPOTENCY_MISMATCH)
        return entry


def account_of(caller: Caller) -> UUID:
    if caller.account_id is None:
        raise Refused(ErrorCode.NOT_FOUND)
    return caller.account_id


def grant_id_for(request: web.Request, account_id: UUID) -> UUID:
    """The same id for the same Idempotency-Key, so that a grant sent twice is granted once."""
    key = request.headers.get("Idempotency-Key")
    if key is None:
        return uuid4()
    if not 0 < len(key) <= IDEMPOTENCY_KEY_MAX_CHARACTERS:
        raise Refused(
            ErrorCode.INVALID_REQUEST, details=[f"Idempotency-Key: 1 to {IDEMPOTENCY_KEY_MAX_CHARACTERS} characters"]
        )
    return uuid5(account_id, f"grant:{key}")
