"""Makes sessions.json: access tokens of all kinds, and the keys that tell the good ones. `python sessions.py`, seldom.

The private keys are thrown away: what is committed can sign nothing but HS256 tokens of a project that does not exist.
"""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

from joserfc.jwk import RSAKey

from pac.testkit.supabase import Issuer, sign, sign_shared

FILE = Path(__file__).with_name("sessions.json")
USER = UUID("3a7d5b1f-9c2e-4e80-8d46-51f7b3a9c201")
PROJECT = "https://testproject.supabase.co"
FAR_AWAY, LONG_AGO = 4_102_444_800, 1_600_000_000  # 2100 and 2020
UMLAUTS = "grüße; 100% 日本 "


def made() -> dict[str, Any]:
    issuer, rsa = Issuer(url=f"{PROJECT}/auth/v1"), RSAKey.generate_key(2048)
    key_id = {"kid": issuer.key_id}

    def session(token: str, form: str = "base64url", **more: Any) -> dict[str, Any]:
        usual = {"form": form, "is_accepted": True, "token": token, "note": "", "times": 1, "expires_at": FAR_AWAY}
        return usual | more

    def refused(token: str, **more: Any) -> dict[str, Any]:
        return session(token, is_accepted=False, **more)

    def claims(**changes: Any) -> dict[str, Any]:
        return issuer.claims(USER, **{"iat": LONG_AGO, "exp": FAR_AWAY, "amr": None, **changes})

    good = sign(claims(), issuer.elliptic, "ES256", key_id)
    header, payload, signature = good.split(".")
    foreign = sign(claims(sub=str(UUID(int=1))), issuer.elliptic, "ES256", key_id).split(".")[1]
    return {
        "project": PROJECT,
        "issuer": issuer.url,
        "user_id": str(USER),
        "secret": issuer.secret,
        "keys": [*issuer.jwks, {**rsa.as_dict(private=False), "kid": "key-rsa", "alg": "RS256", "use": "sig"}],
        "sessions": {
            "plain": session(good),
            "eleven chunks": session(good, note="x", times=24_500),
            "raw JSON": session(good, "raw", note=UMLAUTS),
            "raw JSON in chunks": session(good, "raw", note=UMLAUTS, times=200),
            "tokens only": session(good, "tokens-only"),
            "older array": session(good, "array"),
            "shared secret": session(sign_shared(claims(), issuer.secret.encode(), key_id)),
            "RSA": session(sign(claims(), rsa, "RS256", {"kid": "key-rsa"})),
            "tampered": refused(f"{header}.{foreign}.{signature}"),
            "cut": refused(f"{header}.{payload}.{signature[:-8]}"),
            "expired": refused(
                sign(claims(exp=LONG_AGO), issuer.elliptic, "ES256", key_id), expires_at=LONG_AGO, form="array"
            ),
            "expired, refreshed by nobody": refused(sign(claims(exp=LONG_AGO), issuer.elliptic, "ES256", key_id)),
            "anon": refused(sign_shared(claims(role="anon", aud=None, sub=None), issuer.secret.encode())),
            "service role": refused(sign_shared(claims(role="service_role"), issuer.secret.encode())),
            "wrong audience": refused(sign(claims(aud="storage"), issuer.elliptic, "ES256", key_id)),
            "another issuer": refused(sign(claims(iss="https://other.example"), issuer.elliptic, "ES256", key_id)),
            "public key as secret": refused(sign_shared(claims(), issuer.elliptic.as_pem(private=False), key_id)),
        },
    }


if __name__ == "__main__":
    FILE.write_text(json.dumps(made(), indent=2) + "\n")
