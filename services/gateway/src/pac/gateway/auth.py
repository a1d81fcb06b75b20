"""Who is calling: one method after another looks at the request's headers, and the first that knows the form answers.

A session (cookie) will be one more method at the end of the tuple; until then a cookie alone is nobody.
"""

import asyncio
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from aiohttp import hdrs, web
from pydantic import SecretStr

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller, Scope
from pac.gateway.keys import Pepper, is_well_formed
from pac.gateway.queries import FoundKey

SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
ANYONE = Caller(actor="anyone")
OPERATOR = Caller(actor="operator", operator=True)


class Method(Protocol):
    async def caller(self, request: web.Request) -> Caller | None:
        """None if the request does not use this method; Refused if it does, but wrongly."""
        ...


class KeySource(Protocol):
    async def find_key(self, digest: bytes) -> FoundKey | None: ...


@dataclass(frozen=True)
class Authentication:
    methods: Sequence[Method]
    retry_seconds: float = 0.5

    async def caller(self, request: web.Request, *, patience_seconds: float = 0.0) -> Caller:
        """Refused as unauthenticated, or as unavailable once `patience_seconds` of trying again have passed."""
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                return await self._ask(request)
            except Refused as refusal:
                if refusal.code is not ErrorCode.UNAVAILABLE or time.monotonic() + self.retry_seconds > deadline:
                    raise
            await asyncio.sleep(self.retry_seconds)

    async def _ask(self, request: web.Request) -> Caller:
        for method in self.methods:
            if (caller := await method.caller(request)) is not None:
                return caller
        raise Refused(ErrorCode.UNAUTHENTICATED)


@dataclass(frozen=True)
class AdminKey:
    """The operator's key. Any other bearer token is left to the methods behind."""

    key: SecretStr

    async def caller(self, request: web.Request) -> Caller | None:
        token = (bearer(request) or "").encode("utf-8", "surrogateescape")  # a header may hold any bytes
        return OPERATOR if hmac.compare_digest(token, self.key.get_secret_value().encode()) else None


@dataclass(frozen=True)
class _Held:
    key: FoundKey
    read_at: float  # monotonic, taken before the read: what is held is never older than it says


@dataclass
class KeyCache:
    """What was last read about the keys in use; the longest unused ones leave first."""

    size: int = 10_000
    _held: OrderedDict[bytes, _Held] = field(default_factory=OrderedDict)

    def get(self, digest: bytes) -> _Held | None:
        if (held := self._held.get(digest)) is not None:
            self._held.move_to_end(digest)
        return held

    def put(self, digest: bytes, held: _Held) -> None:
        self._held[digest] = held
        self._held.move_to_end(digest)
        while len(self._held) > self.size:
            self._held.popitem(last=False)

    def drop(self, digest: bytes) -> None:
        self._held.pop(digest, None)

    def forget(self, key_id: UUID) -> None:
        """The key was revoked here: this process answers no further request with it."""
        for digest in [digest for digest, held in self._held.items() if held.key.id == key_id]:
            del self._held[digest]

    def __len__(self) -> int:
        return len(self._held)


@dataclass(frozen=True)
class ApiKeys:
    """`Authorization: Bearer pac_…`.

    A key is believed for `ttl_seconds` after it was read, so a revocation holds everywhere within that time; the
    process that revokes forgets it at once. While Postgres is away, reads go on with what is held for
    `outage_seconds`, so that a poll of a status does not fail; writes do not.
    """

    keys: KeySource
    pepper: Pepper
    cache: KeyCache
    ttl_seconds: float = 4.0
    outage_seconds: float = 300.0
    lookup_timeout_seconds: float = 1.0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    clock: Callable[[], float] = time.monotonic

    async def caller(self, request: web.Request) -> Caller | None:
        token = bearer(request)
        if token is None:
            return None
        if not is_well_formed(token):  # a typo or a guess: no need to ask the database
            raise Refused(ErrorCode.UNAUTHENTICATED)
        key = await self._known(self.pepper.hash(token), is_read=request.method in SAFE_METHODS)
        if key is None or (key.expires_at is not None and key.expires_at <= self.now()):
            raise Refused(ErrorCode.UNAUTHENTICATED)
        return Caller(actor=f"key-{key.id}", account_id=key.account_id, scopes=key.scopes)

    async def _known(self, digest: bytes, *, is_read: bool) -> FoundKey | None:
        held, asked_at = self.cache.get(digest), self.clock()
        if held is not None and asked_at - held.read_at < self.ttl_seconds:
            return held.key
        try:
            async with asyncio.timeout(self.lookup_timeout_seconds):
                found = await self.keys.find_key(digest)
        except OSError:  # Postgres is away, or too slow (a TimeoutError is one too)
            if held is not None and is_read and asked_at - held.read_at < self.outage_seconds:
                return held.key
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1) from None
        if found is None:
            self.cache.drop(digest)
        else:
            self.cache.put(digest, _Held(found, asked_at))
        return found


def bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def require(caller: Caller, *, scope: Scope | None, operator: bool) -> None:
    """403 with the scope that was needed. Who may deploy may also read: a pipeline follows what it started."""
    if operator:
        if not caller.operator:
            raise Refused(ErrorCode.FORBIDDEN, "Only the operator may do this", scope="operator")
        return
    if caller.account_id is None:
        raise Refused(ErrorCode.FORBIDDEN, "The admin key belongs to no account: use an API key", scope=scope)
    granted = caller.scopes | ({Scope.READ} if Scope.DEPLOY in caller.scopes else set())
    if scope is not None and scope not in granted:
        raise Refused(ErrorCode.FORBIDDEN, f"This key lacks the scope {scope.value}", scope=scope.value)
