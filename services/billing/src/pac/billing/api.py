"""In over HTTP: an account reads its credits, an operator grants them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4, uuid5

from aiohttp import web
from pac.servicekit.http import body_in, caller_of, reply, uuid_in

from pac.billing.accounts import Accounts
from pac.billing.domain import ACCOUNT, Grant
from pac.billing.queries import Queries, entry_of
from pac.billing.views import CreditsReply, Entry, EntryReply, GrantRequest
from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.eventlog import Cause, EventLog

PAGE_ENTRIES = 50
PAGE_MAX_ENTRIES = 200
IDEMPOTENCY_KEY_MAX_CHARACTERS = 255
CURSOR_MAX = 2**63 - 1
DIGITS_MAX = 20


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

    async def get_ledger(self, request: web.Request) -> web.Response:
        account_id = account_of(caller_of(request))
        limit = number_in(request, "limit", most=PAGE_MAX_ENTRIES) or PAGE_ENTRIES
        before = number_in(request, "cursor", most=CURSOR_MAX)
        return reply(await self.queries.ledger(account_id, before=before, limit=limit))

    async def grant_credits(self, request: web.Request) -> web.Response:
        caller = caller_of(request)
        if not caller.operator:
            raise Refused(ErrorCode.FORBIDDEN)
        account_id, wish = uuid_in(request, "account_id"), await body_in(request, GrantRequest)
        entry = await self._grant(account_id, wish, grant_id_for(request, account_id), caller)
        return reply(EntryReply(entry=entry), status=201)

    async def _grant(self, account_id: UUID, wish: GrantRequest, grant_id: UUID, caller: Caller) -> Entry:
        cause = Cause(actor=caller.actor, correlation_id=uuid4())
        async with self.log.transaction(ACCOUNT.stream(account_id), cause=cause) as tx:
            locked = await self.accounts.prepare(tx, account_id)
            command = Grant(account_id, grant_id, wish.amount, locked.balance.available, datetime.now(UTC))
            granted, _ = await tx.decide(ACCOUNT, account_id, command)
            await self.accounts.book(tx, locked, granted, reason=wish.reason)
            entry = await entry_of(tx.connection, grant_id)
        assert entry is not None
        if (entry.amount, entry.reason) != (wish.amount, wish.reason):
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
            ErrorCode.INVALID_REQUEST, f"Idempotency-Key has 1 to {IDEMPOTENCY_KEY_MAX_CHARACTERS} characters"
        )
    return uuid5(account_id, f"grant:{key}")


def number_in(request: web.Request, name: str, *, most: int) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < DIGITS_MAX and 1 <= int(text) <= most):
        raise Refused(ErrorCode.INVALID_REQUEST, details=[f"{name}: must be a number from 1 to {most}"])
    return int(text)
