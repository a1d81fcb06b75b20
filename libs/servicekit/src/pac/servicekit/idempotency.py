"""Idempotency-Key: a POST that is sent again is answered again, and done once.

A handler with an effect of its own says so in the effect's transaction: `attempt_of(request).bind(…)` with what a
later attempt needs to go on, or `.answer_in(…)` with the whole answer. One that reads its body itself (an upload) says
what it has read: `.read(…)`. Without a key all of that does nothing.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Final

import orjson
import structlog
from aiohttp import hdrs, web
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.eventlog import EventLog, StaleLease
from pac.eventlog.claims import Answered, Claim, Claims, Outcome
from pac.servicekit.requests import body_bytes, stopping_of

logger = structlog.get_logger(__name__)
HEADER: Final = "Idempotency-Key"
REPLAYED: Final = "Idempotent-Replayed"
KEY_MAX_CHARACTERS: Final = 255
NONCE_BYTES: Final = 12
FAULT, THROTTLED, TIMEOUT = 500, 429, 408
KEPT_HEADERS: Final = (hdrs.CONTENT_TYPE, hdrs.CACHE_CONTROL, hdrs.ETAG, hdrs.LOCATION, hdrs.RETRY_AFTER)
SWEEP_SECONDS: Final = 600.0
Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Replayed(Exception):  # noqa: N818 - the answer, on its way past the handler
    def __init__(self, response: web.Response) -> None:
        super().__init__("answered before")
        self.response = response


class Attempt:
    """One request under its key; this one, without a key, does nothing."""

    @property
    def is_first(self) -> bool:
        """False if there may be an answer or an outcome already: then a body need only be compared."""
        return True

    @property
    def outcome(self) -> Outcome | None:
        """What an attempt before this one had committed before it was cut off."""
        return None

    async def read(self, fields: Mapping[str, bytes], files: Mapping[str, str]) -> None:
        """What the body says: fields by name, sha256 of files by name. Ends in the first answer if there is one."""

    async def bind(self, connection: AsyncConnection, outcome: Outcome) -> None: ...

    async def answer_in(self, connection: AsyncConnection, response: web.Response) -> None: ...


NO_ATTEMPT: Final = Attempt()
ATTEMPT = web.RequestKey("attempt", Attempt)


def attempt_of(request: web.Request) -> Attempt:
    found: Attempt = request.get(ATTEMPT, NO_ATTEMPT)
    return found


@dataclass(frozen=True)
class Safe:
    """Fingerprints of requests and sealed answers, under keys made of a secret that is not in the database."""

    secret: bytes = field(repr=False)

    def fingerprint(self, query: str, fields: Mapping[str, bytes], files: Mapping[str, str]) -> bytes:
        told = [[name, hashlib.sha256(value).hexdigest()] for name, value in sorted(fields.items())]
        text = orjson.dumps([query, told, sorted(files.items())])
        return hmac.digest(self._key(b"fingerprint"), text, hashlib.sha256)

    def seal(self, claim_id: bytes, response: web.Response) -> bytes:
        """All of it, since an answer may show a secret once."""
        body = response.body if isinstance(response.body, bytes) else b""
        headers = {str(name): response.headers[name] for name in KEPT_HEADERS if name in response.headers}
        head = orjson.dumps({"status": response.status, "reason": response.reason, "headers": headers})
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + AESGCM(self._key(b"answer")).encrypt(nonce, head + b"\n" + body, claim_id)

    def opened(self, claim_id: bytes, sealed: bytes) -> web.Response:
        nonce, text = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        head, _, body = AESGCM(self._key(b"answer")).decrypt(nonce, text, claim_id).partition(b"\n")
        told = orjson.loads(head)
        headers = {**told["headers"], REPLAYED: "true"}
        return web.Response(body=body, status=told["status"], reason=told["reason"], headers=headers)

    def _key(self, purpose: bytes) -> bytes:
        return hmac.digest(self.secret, b"pac idempotency " + purpose, hashlib.sha256)


@dataclass
class _Keyed(Attempt):
    claims: Claims
    safe: Safe
    claim_id: bytes
    query: str
    claim: Claim | None  # None: it was answered before
    answered: Answered | None
    is_read: bool = False

    @property
    def is_first(self) -> bool:
        return self.claim is not None and self.claim.outcome is None

    @property
    def outcome(self) -> Outcome | None:
        return None if self.claim is None else self.claim.outcome

    async def read(self, fields: Mapping[str, bytes], files: Mapping[str, str]) -> None:
        fingerprint = self.safe.fingerprint(self.query, fields, files)
        before = self.answered or self.claim
        known = None if before is None else before.fingerprint
        if known is not None and not hmac.compare_digest(known, fingerprint):
            raise Refused(ErrorCode.IDEMPOTENCY_MISMATCH)
        if self.answered is not None:
            raise Replayed(self.safe.opened(self.claim_id, self.answered.answer))
        if known is None:
            assert self.claim is not None
            await _ours(self.claims.mark(self.claim, fingerprint))
        self.is_read = True

    async def bind(self, connection: AsyncConnection, outcome: Outcome) -> None:
        assert self.claim is not None
        await _ours(self.claims.bind(connection, self.claim, outcome))

    async def answer_in(self, connection: AsyncConnection, response: web.Response) -> None:
        assert self.claim is not None
        await _ours(self.claims.answer_in(connection, self.claim, self.safe.seal(self.claim_id, response)))


async def _ours(change: Awaitable[None]) -> None:
    try:
        await change
    except StaleLease:
        raise Refused(ErrorCode.CONFLICT, TAKEN_OVER, retry_after_seconds=1) from None


AT_WORK: Final = "A request with this Idempotency-Key is still being answered"
TAKEN_OVER: Final = "Another request with this Idempotency-Key has taken over"


@dataclass(frozen=True)
class Idempotency:
    """`wait_seconds`: how long a parallel request waits for the first one's answer before it is told 409."""

    claims: Claims
    safe: Safe
    wait_seconds: float = 15.0

    @classmethod
    def of(cls, log: EventLog, secret: bytes) -> "Idempotency":
        return cls(Claims(log), Safe(secret))

    async def around(
        self, request: web.Request, caller: Caller, respond: Respond, *, lazy_body: bool
    ) -> web.StreamResponse:
        """`respond` raises nothing but Replayed. With `lazy_body` the handler says itself what it has read."""
        if request.method != hdrs.METH_POST or (key := request.headers.get(HEADER)) is None:
            return await respond(request)
        attempt = await self._attempt(request, caller, key)
        request[ATTEMPT] = attempt

        async def read_and_respond() -> web.StreamResponse:
            if not lazy_body:
                await attempt.read(*_told_by(request, await body_bytes(request)))
            return await respond(request)

        try:
            async with self._held(attempt):
                response = await read_and_respond()
                await self._keep(attempt, response)
                return response
        except Replayed as replayed:
            return replayed.response

    async def _attempt(self, request: web.Request, caller: Caller, key: str) -> _Keyed:
        if not 0 < len(key) <= KEY_MAX_CHARACTERS:
            raise Refused(ErrorCode.INVALID_REQUEST, details=[f"{HEADER}: 1 to {KEY_MAX_CHARACTERS} characters"])
        account = caller.actor if caller.account_id is None else str(caller.account_id)
        path, query = request.rel_url.raw_path, request.rel_url.raw_query_string
        claim_id = hashlib.sha256(orjson.dumps([account, request.method, path, _text(key)])).digest()
        found = await self._claimed(request, claim_id)
        if isinstance(found, Claim):
            return _Keyed(self.claims, self.safe, claim_id, query, found, None)
        return _Keyed(self.claims, self.safe, claim_id, query, None, found)

    async def _claimed(self, request: web.Request, claim_id: bytes) -> Claim | Answered:
        loop, pause = asyncio.get_running_loop(), 0.02
        deadline = loop.time() + self.wait_seconds
        while (found := await self.claims.claim(claim_id)) is None:
            if loop.time() + pause > deadline or stopping_of(request).is_set():
                raise Refused(ErrorCode.CONFLICT, AT_WORK, retry_after_seconds=1)
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.25)
        return found

    @asynccontextmanager
    async def _held(self, attempt: _Keyed) -> AsyncIterator[None]:
        """The lease is renewed inside; a claim that is left without an answer is free again."""
        if (claim := attempt.claim) is None:
            yield
            return
        renewing = asyncio.create_task(self._renew(claim))
        try:
            yield
        except (Exception, asyncio.CancelledError):
            with suppress(OSError):
                await asyncio.shield(self.claims.free(claim))
            raise
        finally:
            renewing.cancel()

    async def _renew(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(self.claims.lease_seconds / 4)
            with suppress(OSError):
                if not await self.claims.renew(claim):
                    return

    async def _keep(self, attempt: _Keyed, response: web.StreamResponse) -> None:
        """Not kept: what may be another answer the next time, and what was said before the body was read."""
        if (claim := attempt.claim) is None:
            return
        is_passing = response.status >= FAULT or response.status in (THROTTLED, TIMEOUT)
        try:
            if is_passing or not attempt.is_read or not isinstance(response, web.Response):
                await self.claims.free(claim)
            else:
                await self.claims.answer(claim, self.safe.seal(attempt.claim_id, response))
        except OSError:
            # The caller has the answer; who asks again finds the outcome, or the claim free, when the lease has ended.
            logger.warning("answer_not_kept")


def _text(key: str) -> str:
    return key.encode("utf-8", "surrogateescape").hex()


def _told_by(request: web.Request, body: bytes) -> tuple[Mapping[str, bytes], Mapping[str, str]]:
    """The fields of a JSON object; of anything else the whole."""
    kind = request.content_type.encode()
    try:
        told = orjson.loads(body or b"{}")
    except orjson.JSONDecodeError:
        told = None
    if not isinstance(told, dict):
        return {"": body, "type": kind}, {}
    return {f".{name}": orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for name, value in told.items()}, {}


@dataclass(frozen=True)
class ClaimSweep:
    """Deletes claims past their 24 hours."""

    claims: Claims
    seconds: float = SWEEP_SECONDS
    name: str = "claim_sweep"

    async def run(self) -> None:
        while True:
            while await self.claims.sweep():
                pass
            await asyncio.sleep(self.seconds)
