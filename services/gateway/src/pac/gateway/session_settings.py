"""Which settings of sessions make sense: what contradicts itself, or is something else by mistake, is refused at start.

An empty value is none: compose files pass variables on that nobody has set.
"""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr, ValidationInfo

from pac.gateway.cookies import looks_like_a_token
from pac.gateway.origins import normal

SECRET_MIN_CHARACTERS = 16
JWKS_PATH = "/.well-known/jwks.json"
_CLOUD = ".supabase.co"  # there a project is known by the name of its host


def _none_if_empty(value: object) -> object:
    return None if value == "" else value


def _url(url: str | None) -> str | None:
    if url is None:
        return None
    if normal(url) is None or urlsplit(url).username is not None:
        raise ValueError("must look like https://host/path")
    return url


def _issuer(url: str | None) -> str | None:
    if url is not None and url.endswith(".json"):
        raise ValueError("must be the issuer, such as https://<ref>.supabase.co/auth/v1, not its set of keys")
    return url


def _keys_of_the_issuer(url: str | None, info: ValidationInfo) -> str | None:
    issuer = info.data.get("supabase_issuer")
    if url is None or issuer is None:
        return url
    hosts = {urlsplit(one).hostname or "" for one in (url, issuer)}
    if len(hosts) > 1 and all(host.endswith(_CLOUD) for host in hosts):
        raise ValueError("belongs to another project than GATEWAY_SUPABASE_ISSUER")
    return url


def _jwt_secret(secret: SecretStr | None) -> SecretStr | None:
    text = secret.get_secret_value() if secret is not None else ""
    if not text:
        return None
    if looks_like_a_token(text):
        raise ValueError("is a token (the key `anon` or `service_role`?), not the secret that signs them")
    if text.startswith(("-----BEGIN", "{")):
        raise ValueError("is a key of another kind: public keys are read from GATEWAY_SUPABASE_JWKS_URL")
    if len(text) < SECRET_MIN_CHARACTERS:
        raise ValueError(f"must have at least {SECRET_MIN_CHARACTERS} characters")
    return secret


def _origins(text: str, info: ValidationInfo) -> str:
    origins = [origin.strip() for origin in text.split(",") if origin.strip()]
    if any(normal(origin) is None or urlsplit(origin).path.strip("/") for origin in origins):
        raise ValueError("must be origins such as https://app.example, separated by commas")
    names = ("supabase_issuer", "supabase_jwks_url", "supabase_jwt_secret")
    if origins and all(info.data.get(name) is None for name in names if name in info.data):
        raise ValueError("trusts pages with sessions, and no setting of sessions (GATEWAY_SUPABASE_…) is there")
    return ",".join(origins)


PageUrl = Annotated[str | None, AfterValidator(_url), BeforeValidator(_none_if_empty)]
Issuer = Annotated[str | None, AfterValidator(_url), AfterValidator(_issuer), BeforeValidator(_none_if_empty)]
KeysUrl = Annotated[
    str | None, AfterValidator(_url), AfterValidator(_keys_of_the_issuer), BeforeValidator(_none_if_empty)
]
JwtSecret = Annotated[SecretStr | None, AfterValidator(_jwt_secret)]
Origins = Annotated[str, AfterValidator(_origins)]
