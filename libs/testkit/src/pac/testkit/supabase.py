"""An issuer of sessions as Supabase is one: it signs access tokens, publishes its keys, and writes cookies."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

CHUNK_CHARACTERS = 3180  # of @supabase/ssr
Claims = dict[str, Any]


@dataclass
class Issuer:
    """`name` is the project's reference. Served while `serving`; `asked` counts how often its keys were read."""

    name: str = "testproject"
    key_id: str = "key-1"
    elliptic: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256"), repr=False)
    secret: str = field(default="secret-of-the-issuer-of-the-tests-0123456789", repr=False)
    url: str = "http://127.0.0.1:9/auth/v1"
    published: list[dict[str, Any]] | None = None
    status: int = 200
    asked: int = 0
    being_asked: asyncio.Event = field(default_factory=asyncio.Event)
    answering: asyncio.Event = field(default_factory=asyncio.Event)  # cleared: whoever asks waits

    def __post_init__(self) -> None:
        self.answering.set()

    @property
    def jwks_url(self) -> str:
        return f"{self.url}/.well-known/jwks.json"

    @property
    def jwks(self) -> list[dict[str, Any]]:
        if self.published is not None:
            return self.published
        return [{**self.elliptic.as_dict(private=False), "kid": self.key_id, "alg": "ES256", "use": "sig"}]

    def claims(self, user_id: UUID | None = None, **changes: Any) -> Claims:
        """Of a signed-in user; a change to None leaves the claim out."""
        now = int(time.time())
        user = str(user_id or uuid4())
        claims: Claims = {
            "iss": self.url,
            "aud": "authenticated",
            "sub": user,
            "role": "authenticated",
            "iat": now,
            "exp": now + 3600,
            "email": "ada@example.org",
            "phone": "",
            "app_metadata": {"provider": "email", "providers": ["email"]},
            "user_metadata": {},
            "aal": "aal1",
            "amr": [{"method": "password", "timestamp": now}],
            "session_id": str(uuid4()),
            "is_anonymous": False,
        }
        return {name: value for name, value in (claims | changes).items() if value is not None}

    def token(
        self, user_id: UUID | None = None, *, algorithm: str = "ES256", header: Claims | None = None, **changes: Any
    ) -> str:
        claims, more = self.claims(user_id, **changes), {"kid": self.key_id, **(header or {})}
        if algorithm == "HS256":
            return sign_shared(claims, self.secret.encode(), more)
        return sign(claims, self.elliptic, algorithm, more)

    def cookie(self, token: str, **user: Any) -> str:
        """A `Cookie` header as @supabase/ssr writes it; `user` is what the client may put in it as well."""
        encoded = "base64-" + _base64url(json.dumps(session_of(token, **user)).encode())
        name = f"sb-{self.name}-auth-token"
        if len(encoded) <= CHUNK_CHARACTERS:
            return f"{name}={encoded}"
        chunks = [encoded[at : at + CHUNK_CHARACTERS] for at in range(0, len(encoded), CHUNK_CHARACTERS)]
        return "; ".join(f"{name}.{number}={chunk}" for number, chunk in enumerate(chunks))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Issuer"]:
        app = web.Application()
        app.router.add_get("/auth/v1/.well-known/jwks.json", self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/auth/v1"
            yield self
        finally:
            await runner.cleanup()

    async def _answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        self.being_asked.set()
        await self.answering.wait()
        return web.json_response({"keys": self.jwks}, status=self.status)


def session_of(token: str, **user: Any) -> Claims:
    """What a client keeps of a session; only `access_token` in it is signed."""
    return {
        "access_token": token,
        "token_type": "bearer",
        "expires_in": 3600,
        "expires_at": int(time.time()) + 3600,
        "refresh_token": "refresh-token-of-the-tests",
        "user": {"id": str(uuid4()), "role": "authenticated", "email": "ada@example.org", **user},
    }


def sign(claims: Claims, key: ECKey | RSAKey, algorithm: str, header: Claims | None = None) -> str:
    protected = {"alg": algorithm, "typ": "JWT", **(header or {})}
    payload = json.dumps(claims, separators=(",", ":"))
    return jws.serialize_compact(protected, payload, key, algorithms=[algorithm])


def sign_shared(claims: Claims, secret: bytes, header: Claims | None = None, *, algorithm: str = "HS256") -> str:
    """With whatever bytes: libraries refuse to take a public key for a secret, and an attacker's does not."""
    signed = _signed_part({"alg": algorithm, "typ": "JWT", **(header or {})}, claims)
    return f"{signed}.{_base64url(hmac.digest(secret, signed.encode(), algorithm.replace('HS', 'sha')))}"


def unsigned(claims: Claims) -> str:
    """`alg` none; with a made-up signature, as an empty one would be no token at all."""
    return f"{_signed_part({'alg': 'none', 'typ': 'JWT'}, claims)}.AAAA"


def _signed_part(header: Claims, claims: Claims) -> str:
    return ".".join(_base64url(json.dumps(part, separators=(",", ":")).encode()) for part in (header, claims))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
