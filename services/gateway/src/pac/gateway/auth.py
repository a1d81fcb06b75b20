"""Who is calling: one method after another looks at the request's headers, and the first that knows the form answers.

The methods: the operator's key, API keys, and sessions (sessions.py).
"""

import asyncio
import hmac
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from aiohttp import hdrs, web
from pydantic import SecretStr

from pac.contracts.errors import ErrorCode, Refused
from pac.gateway.held import Held
from pac.gateway.keys import PREFIX, Pepper, is_well_formed
from pac.gateway.queries import FoundKey
from pac.gateway.uses import LastUses
from pac.gateway.who import OPERATOR, Membership, Who

SAFE_METHODS = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})


class Method(Protocol):
    async def who(self, request: web.Request) -> Who | None:
        """None if the request does not use this method; Refused if it does, but wrongly."""
        ...


class KeySource(Protocol):
    async def find_key(self, digest: bytes) -> FoundKey | None: ...


@dataclass(frozen=True)
class Authentication:
    methods: Sequence[Method]
    retry_seconds: float = 0.5

    async def who(self, request: web.Request, *, patience_seconds: float = 0.0) -> Who:
        """Refused as unauthenticated, or as unavailable once `patience_seconds` of trying again have passed."""
        deadline = time.monotonic() + patience_seconds
        while True:
            try:
                return await self._ask(request)
            except Refused as refusal:
                if refusal.code is not ErrorCode.UNAVAILABLE or time.monotonic() + self.retry_seconds > deadline:
                    raise
            await asyncio.sleep(self.retry_seconds)

    async def _ask(self, request: web.Request) -> Who:
        for method in self.methods:
            if (who := await method.who(request)) is not None:
                return who
        raise Refused(ErrorCode.UNAUTHENTICATED)


@dataclass(frozen=True)
class AdminKey:
    """The operator's key. Any other bearer token is left to the methods behind."""

    key: SecretStr

    async def who(self, request: web.Request) -> Who | None:
        token = (bearer(request) or "").encode("utf-8", "surrogateescape")  # a header may hold any bytes
        return OPERATOR if hmac.compare_digest(token, self.key.get_secret_value().encode()) else None


@dataclass(frozen=True)
class ApiKeys:
    """`Authorization: Bearer pac_…`. Another bearer token is left to the methods behind."""

    keys: KeySource
    pepper: Pepper
    held: Held[bytes, FoundKey]
    uses: LastUses
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    async def who(self, request: web.Request) -> Who | None:
        token = bearer(request)
        if token is None or not token.startswith(PREFIX):
            return None
        if not is_well_formed(token):  # a typo or a guess: no need to ask the database
            raise Refused(ErrorCode.UNAUTHENTICATED)
        digest = self.pepper.hash(token)
        key = await self.held.known(digest, lambda: self.keys.find_key(digest), is_read=request.method in SAFE_METHODS)
        now = self.now()
        if key is None or (key.expires_at is not None and key.expires_at <= now):
            raise Refused(ErrorCode.UNAUTHENTICATED)
        self.uses.note(key.id, now)
        return Who(f"key-{key.id}", (Membership(key.account_id, key.scopes, None, key.is_suspended),))

    def forget(self, key_id: UUID) -> None:
        self.held.forget(lambda _, key: key.id == key_id)

    def forget_account(self, account_id: UUID) -> None:
        self.held.forget(lambda _, key: key.account_id == account_id)


def bearer(request: web.Request) -> str | None:
    scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
