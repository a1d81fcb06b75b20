"""Which access tokens are a signed-in user's, and by whose key."""

import base64
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from joserfc.jwk import ECKey, OctKey, RSAKey

from pac.gateway.jwks import PublishedKeys, keys_in
from pac.gateway.tokens import AccessTokens, NotASession
from pac.testkit.supabase import Issuer, sign, sign_shared, unsigned

USER = UUID(int=7)
ISSUER = Issuer()
RSA = RSAKey.generate_key(2048)
NOW = 1_800_000_000


def published(*keys: dict[str, Any]) -> PublishedKeys:
    found = PublishedKeys("http://127.0.0.1:9/jwks", clock=lambda: 0.0)
    found._keys = keys_in(json.dumps({"keys": keys or [*ISSUER.jwks, RSA.as_dict(private=False)]}).encode())
    found._asked_at = 0.0
    return found


def tokens(**changes: Any) -> AccessTokens:
    wanted: dict[str, Any] = {
        "secret": OctKey.import_key(ISSUER.secret.encode()),
        "published": published(),
        "issuer": ISSUER.url,
        "clock": lambda: NOW,
    }
    return AccessTokens(**(wanted | changes))


def claims(**changes: Any) -> dict[str, Any]:
    return ISSUER.claims(USER, **{"exp": NOW + 60, "iat": NOW, **changes})


async def test_each_of_the_three_ways_to_sign_is_accepted() -> None:
    for token in (
        sign(claims(), ISSUER.elliptic, "ES256", {"kid": ISSUER.key_id}),
        sign(claims(), ISSUER.elliptic, "ES256"),  # without a key id every key of its kind is tried
        sign(claims(), RSA, "RS256"),
        sign_shared(claims(aud=["other", "authenticated"]), ISSUER.secret.encode()),
    ):
        assert await tokens().user_of(token) == USER


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - 31}, "expired"),
        ({"exp": None}, "it says no end"),
        ({"exp": "2100"}, "a time in it is none"),
        ({"exp": True}, "a time in it is none"),
        ({"nbf": NOW + 31}, "not valid yet"),
        ({"aud": "other"}, "for another audience"),
        ({"aud": None}, "for another audience"),
        ({"aud": [["authenticated"]]}, "for another audience"),
        ({"iss": "https://evil.example/auth/v1"}, "of another issuer"),
        ({"iss": None}, "of another issuer"),
        ({"role": "anon"}, "not a signed-in user's"),
        ({"role": "service_role"}, "not a signed-in user's"),
        ({"role": None}, "not a signed-in user's"),
        ({"is_anonymous": True}, "not a signed-in user's"),
        ({"sub": None}, "no user is named in it"),
        ({"sub": "admin"}, "no user is named in it"),
        ({"sub": 7}, "no user is named in it"),
    ],
)
async def test_what_a_token_must_say(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(NotASession) as refusal:
        await tokens().user_of(sign(claims(**changes), ISSUER.elliptic, "ES256", {"kid": ISSUER.key_id}))
    assert str(refusal.value) == reason


async def test_clocks_may_differ_a_little() -> None:
    token = sign(claims(exp=NOW - 29, nbf=NOW + 29), ISSUER.elliptic, "ES256")
    assert await tokens().user_of(token) == USER
    with pytest.raises(NotASession):
        await tokens(leeway_seconds=0.0).user_of(token)


async def test_the_issuer_is_compared_only_where_it_is_set() -> None:
    token = sign(claims(iss="https://elsewhere.example"), ISSUER.elliptic, "ES256")
    assert await tokens(issuer=None).user_of(token) == USER


def _with_own_key() -> str:
    own = ECKey.generate_key("P-256")
    return sign(claims(), own, "ES256", {"jwk": own.as_dict(private=False)})


NAMED = {"kid": ISSUER.key_id}
FORGED: dict[str, Callable[[], str]] = {
    "nobody": lambda: unsigned(claims()),
    "a public key as secret, PEM": lambda: sign_shared(claims(), ISSUER.elliptic.as_pem(private=False), NAMED),
    "a public key as secret, JWK": lambda: sign_shared(claims(), json.dumps(ISSUER.jwks[0]).encode(), NAMED),
    "a public key as secret, RSA": lambda: sign_shared(claims(), RSA.as_pem(private=False)),
    "a key of their own": lambda: sign(claims(), ECKey.generate_key("P-256"), "ES256", NAMED),
    "a key in the header": _with_own_key,
    "another secret": lambda: sign_shared(claims(), b"another-secret-of-somebody"),
    "the secret, with another hash": lambda: sign_shared(claims(), ISSUER.secret.encode(), algorithm="HS512"),
    "an empty secret, by a key id that is a path": lambda: sign_shared(claims(), b"", {"kid": "../../dev/null"}),
}


@pytest.mark.parametrize("by", FORGED)
@pytest.mark.parametrize("secret", [None, OctKey.import_key(ISSUER.secret.encode())], ids=["no secret", "a secret"])
async def test_a_token_does_not_choose_how_it_is_verified(by: str, secret: OctKey | None) -> None:
    with pytest.raises(NotASession):
        await tokens(secret=secret).user_of(FORGED[by]())


async def test_a_changed_token_is_refused() -> None:
    header, payload, signature = sign(claims(), ISSUER.elliptic, "ES256").split(".")
    other = base64.urlsafe_b64encode(json.dumps(claims(sub=str(UUID(int=8)))).encode()).rstrip(b"=").decode()
    for changed in (f"{header}.{other}.{signature}", f"{header}.{payload}.{signature[:-4]}AAAA"):
        with pytest.raises(NotASession):
            await tokens().user_of(changed)


@pytest.mark.parametrize("token", ["", "a", "a.b", "a.b.c", "a.b.c.d", "é.b.c", "e30.e30.e30", "." * 100])
async def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(NotASession):
        await tokens().user_of(token)


@pytest.mark.parametrize("more", [{"crit": ["b64"], "b64": True}, {"crit": ["exp"]}, {"b64": False}])
async def test_a_header_that_asks_for_more_is_refused(more: dict[str, Any]) -> None:
    with pytest.raises(NotASession):
        await tokens().user_of(sign_shared(claims(), ISSUER.secret.encode(), more))


def test_only_keys_for_these_tokens_are_taken_from_the_issuer() -> None:
    good = ISSUER.jwks[0]
    others: list[Any] = [
        {**good, "use": "enc"},
        {**good, "alg": "RS256"},
        {**good, "key_ops": ["sign"]},
        {**good, "x": "AAAA"},
        {**good, "x": None},
        {"kty": "oct", "k": "c2VjcmV0", "alg": "HS256"},
        {"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB"},
        {"kty": "RSA"},
        "key",
        None,
    ]
    found = keys_in(json.dumps({"keys": [*others, good, {**good, "kid": None}]}).encode())
    assert [(key.algorithm, key.key_id) for key in found] == [("ES256", ISSUER.key_id), ("ES256", None)]
    for broken in (b"", b"[]", b"{}", b'{"keys": {}}', b"<html>"):
        with pytest.raises(ValueError, match=r".*"):
            keys_in(broken)
