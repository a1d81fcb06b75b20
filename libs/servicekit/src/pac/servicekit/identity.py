"""Who calls, signed by the gateway for one request to one service, and checked there before the body is read.

Compact JWS, Ed25519; the verifier knows keys by `kid` and each key has one algorithm, so nothing in the
token chooses how it is verified. Claims: iss aud htm htu rid iat exp, and what the gateway knows of the caller.
"""

import base64
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey
from pydantic import ValidationError
from yarl import URL

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName

ISSUER = "gateway"
LIFETIME_SECONDS = 30
LEEWAY_SECONDS = 5
TOKEN_MAX_CHARACTERS = 8192
_ALGORITHM = "Ed25519"  # EdDSA over this curve under its own name (RFC 9864): nothing in a token chooses a curve
_HEADER_NAMES = {"alg", "kid", "typ"}
Clock = Callable[[], float]


def key_id(public: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(public).digest()[:12]).decode()


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def target_of(path: str) -> str:
    """Path and query as both sides see them, percent-encoding normalised."""
    return URL(path).raw_path_qs


def _public_key(raw: bytes) -> OKPKey:
    return OKPKey.import_key({"kty": "OKP", "crv": "Ed25519", "x": _base64url(raw), "alg": _ALGORITHM})


@dataclass(frozen=True)
class IdentitySigner:
    """Made by the gateway from its 32-byte Ed25519 seed."""

    seed: bytes = field(repr=False)
    clock: Clock = time.time

    @cached_property
    def _key(self) -> OKPKey:
        return _private_key(self.seed)

    @classmethod
    def from_base64(cls, seed: str, clock: Clock = time.time) -> "IdentitySigner":
        return cls(base64.b64decode(seed, validate=True), clock)

    @cached_property
    def public_key(self) -> bytes:
        return base64.urlsafe_b64decode(str(self._key.as_dict(private=False)["x"]) + "==")

    @property
    def public_key_base64(self) -> str:
        """What the other services get as GATEWAY_IDENTITY_PUBLIC_KEY."""
        return base64.b64encode(self.public_key).decode()

    def sign(self, caller: Caller, *, audience: ServiceName, method: str, path: str, request_id: str) -> str:
        """The value of PAC-Identity; `path` is the one sent to the service, with its query."""
        now = int(self.clock())
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": audience.value,
            "htm": method.upper(),
            "htu": target_of(path),
            "rid": request_id,
            "iat": now,
            "exp": now + LIFETIME_SECONDS,
            "caller": caller.model_dump(mode="json", exclude={"request_id"}),
        }
        protected = {"alg": _ALGORITHM, "kid": key_id(self.public_key), "typ": "pac-identity"}
        payload = json.dumps(claims, separators=(",", ":"), sort_keys=True)
        return jws.serialize_compact(protected, payload, self._key, algorithms=[_ALGORITHM])


def _private_key(seed: bytes) -> OKPKey:
    # The library wants both halves; the public one is derived.
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415 - gateway only

    public = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    return OKPKey.import_key(
        {"kty": "OKP", "crv": "Ed25519", "x": _base64url(public), "d": _base64url(seed), "alg": _ALGORITHM}
    )


class NotIdentified(Exception):  # noqa: N818 - what the request is
    """Why a token is not accepted; for the log only, the caller hears 401."""


@dataclass(frozen=True)
class IdentityVerifier:
    """Accepts tokens of any of the gateway's live keys, meant for this service."""

    audience: ServiceName
    keys: Mapping[str, OKPKey] = field(repr=False)
    clock: Clock = time.time

    @classmethod
    def from_base64(cls, audience: ServiceName, public_keys: str, clock: Clock = time.time) -> "IdentityVerifier":
        """`public_keys`: one raw Ed25519 public key in base64, or two, separated by a comma, while keys are changed."""
        raw = [base64.b64decode(key.strip(), validate=True) for key in public_keys.split(",")]
        return cls(audience, {key_id(key): _public_key(key) for key in raw}, clock)

    def verify(self, token: str, *, method: str, path: str, request_id: str) -> Caller:
        """Raises NotIdentified for whatever is not exactly this request, signed by the gateway, now."""
        claims = self._claims(token)
        expected = {
            "iss": ISSUER,
            "aud": self.audience.value,
            "htm": method.upper(),
            "htu": target_of(path),
            "rid": request_id,
        }
        for name, value in expected.items():
            if claims.get(name) != value:
                raise NotIdentified(f"{name} is for another request")
        self._check_times(claims)
        try:
            caller = Caller.model_validate(claims.get("caller"))
        except ValidationError as invalid:
            raise NotIdentified("the caller is not readable") from invalid
        return caller.model_copy(update={"request_id": request_id})

    def _claims(self, token: str) -> dict[str, Any]:
        if len(token) > TOKEN_MAX_CHARACTERS:
            raise NotIdentified("the token is too long")
        try:
            header = jws.extract_compact(token.encode("ascii")).headers()
            if set(header) != _HEADER_NAMES or header["alg"] != _ALGORITHM:
                raise NotIdentified("the token's header is not one of ours")
            key = self.keys.get(str(header["kid"]))
            if key is None:
                raise NotIdentified("signed with a key that is not known here")
            claims = json.loads(jws.deserialize_compact(token, key, algorithms=[_ALGORITHM]).payload)
        except (JoseError, ValueError, TypeError, KeyError) as broken:
            raise NotIdentified(f"the token is broken ({type(broken).__name__})") from broken
        if not isinstance(claims, dict):
            raise NotIdentified("the token holds no claims")
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        now = self.clock()
        issued, expires = claims.get("iat"), claims.get("exp")
        if not isinstance(issued, int) or not isinstance(expires, int):
            raise NotIdentified("the token has no times")
        if expires - issued > LIFETIME_SECONDS or issued > now + LEEWAY_SECONDS or expires + LEEWAY_SECONDS <= now:
            raise NotIdentified("the token is not of this moment")


def unauthenticated() -> Refused:
    return Refused(ErrorCode.UNAUTHENTICATED)
