"""The issuer's published keys (JWKS), held here: asked for seldom, never waited for while a known key will do.

Each key has one algorithm, by its kind: an elliptic key verifies ES256 only, an RSA key RS256 only. So nothing in a
token chooses how it is verified, and a public key can't be taken for a shared secret.
"""

import asyncio
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

import aiohttp
import structlog
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from pac.contracts.errors import ErrorCode, Refused

logger = structlog.get_logger(__name__)
OK = 200
ANSWER_MAX_BYTES = 262_144
KEYS_MAX = 50
RSA_MIN_BITS = 2048
_PUBLIC_PARTS = ("kty", "crv", "x", "y", "n", "e")
Algorithm = Literal["ES256", "RS256"]


@dataclass(frozen=True)
class PublishedKey:
    algorithm: Algorithm
    key_id: str | None
    key: ECKey | RSAKey


@dataclass
class PublishedKeys:
    """Open while used as a context. What was read last is good through any outage of the issuer."""

    url: str
    max_age_seconds: float = 600.0
    refetch_seconds: float = 30.0  # an unknown key id is a reason to ask again, but not oftener than this
    timeout_seconds: float = 5.0
    retry_seconds: float = 2.0  # while nothing was ever read
    clock: Callable[[], float] = time.monotonic
    _session: aiohttp.ClientSession | None = field(default=None, init=False)
    _keys: tuple[PublishedKey, ...] | None = field(default=None, init=False)
    _read_at: float = field(default=0.0, init=False)
    _asked_at: float | None = field(default=None, init=False)
    _asking: asyncio.Task[None] | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=self.timeout_seconds)
        self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait({self._asking})
        if self._session is not None:
            await self._session.close()

    async def find(self, algorithm: str, key_id: str | None) -> Sequence[PublishedKey]:
        """Those that may have signed this. Refused as unavailable while the issuer has never answered."""
        if found := self._known(algorithm, key_id):
            if self.clock() - self._read_at > self.max_age_seconds and self._may_ask():
                self._ask()  # and not waited for
            return found
        if self._may_ask():
            self._ask()
        if self._asking is not None:
            await asyncio.shield(self._asking)
        if self._keys is None:
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1)
        return self._known(algorithm, key_id)

    def _known(self, algorithm: str, key_id: str | None) -> Sequence[PublishedKey]:
        of_kind = [one for one in self._keys or () if one.algorithm == algorithm]
        return of_kind if key_id is None else [one for one in of_kind if one.key_id == key_id]

    def _may_ask(self) -> bool:
        pause = self.retry_seconds if self._keys is None else self.refetch_seconds
        return self._asking is None and (self._asked_at is None or self.clock() - self._asked_at >= pause)

    def _ask(self) -> None:
        self._asked_at = self.clock()
        self._asking = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            self._keys = keys_in(await self._fetch())
            self._read_at = self.clock()
            logger.info("session_keys_read", keys=len(self._keys))
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            logger.warning("session_keys_away", fault=type(fault).__name__, held=len(self._keys or ()))
        finally:
            self._asking = None

    async def _fetch(self) -> bytes:
        assert self._session is not None, "open while used as a context"
        async with self._session.get(self.url, allow_redirects=False) as answer:
            if answer.status != OK:
                raise ValueError(f"the issuer answered {answer.status}")
            body = bytearray()
            async for chunk in answer.content.iter_any():
                body += chunk
                if len(body) > ANSWER_MAX_BYTES:
                    raise ValueError("the issuer's answer is too large")
            return bytes(body)


def keys_in(body: bytes) -> tuple[PublishedKey, ...]:
    """The usable ones; others (another purpose, another kind, a shared secret) are passed over. ValueError: no JWKS."""
    match json.loads(body):
        case {"keys": [*listed]}:
            keys = (_key_in(one) for one in listed[:KEYS_MAX])
            return tuple(key for key in keys if key is not None)
        case _:
            raise ValueError("the issuer's answer is no set of keys")


def _key_in(jwk: Any) -> PublishedKey | None:
    match jwk:
        case {"kty": "EC", "crv": "P-256"}:
            return _bound(jwk, "ES256", ECKey)
        case {"kty": "RSA"}:
            return _bound(jwk, "RS256", RSAKey)
        case _:
            return None


def _bound(jwk: Mapping[str, Any], algorithm: Algorithm, kind: type[ECKey] | type[RSAKey]) -> PublishedKey | None:
    if jwk.get("alg", algorithm) != algorithm or jwk.get("use", "sig") != "sig":
        return None
    try:
        if "verify" not in jwk.get("key_ops", ["verify"]):
            return None
        key = kind.import_key({name: jwk[name] for name in _PUBLIC_PARTS if name in jwk})
        bits = key.raw_value.key_size  # made at the first use, and a broken key shall be found now
    except (JoseError, ValueError, TypeError, KeyError):
        return None
    if algorithm == "RS256" and bits < RSA_MIN_BITS:
        return None
    key_id = jwk.get("kid")
    return PublishedKey(algorithm, key_id if isinstance(key_id, str) else None, key)
