"""Whether an access token is one of Supabase's for a signed-in user, now. Only what this verifies counts.

Claims: supabase.com/docs/guides/auth/jwt-fields. The keys of a project, `anon` and `service_role`, are tokens of the
same form, and so is an anonymous visitor's: they are nobody here.
"""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, RSAKey

from pac.gateway.jwks import PublishedKeys

SHARED = "HS256"
PUBLISHED = ("ES256", "RS256")
ROLE = "authenticated"


class NotASession(Exception):  # noqa: N818 - what the token is
    """Why a token is not accepted; for the log only, the caller hears 401."""


@dataclass(frozen=True)
class AccessTokens:
    """`issuer` None: whoever holds the keys is the issuer. A token's `alg` only picks among the keys bound to it."""

    secret: OctKey | None = field(repr=False)
    published: PublishedKeys | None
    issuer: str | None
    audience: str = "authenticated"
    leeway_seconds: float = 30.0
    clock: Callable[[], float] = time.time

    async def user_of(self, token: str) -> UUID:
        """The user's id. Raises NotASession; Refused (unavailable) if the issuer's keys could never be read."""
        header = _header_of(token)
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or "crit" in header or "b64" in header:
            raise NotASession("its header asks for what is not done here")
        for key in await self._keys(algorithm, header.get("kid")):
            if (claims := _claims_of(token, key, algorithm)) is not None:
                return self._user_in(claims)
        raise NotASession("signed by nobody who is known here")

    async def _keys(self, algorithm: str, key_id: Any) -> Sequence[OctKey | ECKey | RSAKey]:
        if algorithm == SHARED and self.secret is not None:
            return [self.secret]
        if algorithm in PUBLISHED and self.published is not None:
            found = await self.published.find(algorithm, key_id if isinstance(key_id, str) else None)
            return [one.key for one in found]
        return []

    def _user_in(self, claims: Mapping[str, Any]) -> UUID:
        self._check_times(claims)
        audience = claims.get("aud")
        if self.audience not in (audience if isinstance(audience, list) else [audience]):
            raise NotASession("for another audience")
        if self.issuer is not None and str(claims.get("iss")).rstrip("/") != self.issuer.rstrip("/"):
            raise NotASession("of another issuer")
        if claims.get("role") != ROLE or claims.get("is_anonymous") not in (None, False):
            raise NotASession("not a signed-in user's")
        try:
            return UUID(claims["sub"])
        except (KeyError, ValueError, TypeError, AttributeError):
            raise NotASession("no user is named in it") from None

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self.clock()
        expires, not_before = _time(claims, "exp"), _time(claims, "nbf")
        if expires is None:
            raise NotASession("it says no end")
        if expires + self.leeway_seconds <= now:
            raise NotASession("expired")
        if not_before is not None and not_before - self.leeway_seconds > now:
            raise NotASession("not valid yet")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    match claims.get(name):
        case bool():
            raise NotASession("a time in it is none")
        case int() | float() | None as moment:
            return moment
        case _:
            raise NotASession("a time in it is none")


def _header_of(token: str) -> dict[str, Any]:
    try:
        return dict(jws.extract_compact(token.encode("ascii")).headers())
    except (JoseError, ValueError, TypeError, AttributeError, RecursionError):
        raise NotASession("not a token") from None


def _claims_of(token: str, key: OctKey | ECKey | RSAKey, algorithm: str) -> dict[str, Any] | None:
    """None if this key has not signed it."""
    try:
        claims = json.loads(jws.deserialize_compact(token, key, algorithms=[algorithm]).payload)
    except (JoseError, ValueError, TypeError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None
