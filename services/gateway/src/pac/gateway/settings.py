"""Settings of the gateway; read once, in __main__.py."""

import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from pac.gateway.domain import DEFAULT_RUNTIME
from pac.gateway.session_settings import SECRET_MIN_CHARACTERS, Issuer, JwtSecret, KeysUrl, Origins, PageUrl
from pac.servicekit.settings import Key32, Port, ServiceSettings


def _long_enough(secret: SecretStr) -> SecretStr:
    if len(secret.get_secret_value()) < SECRET_MIN_CHARACTERS:
        raise ValueError(f"must have at least {SECRET_MIN_CHARACTERS} characters")
    return secret


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError("must look like http://host:port")
    return url.rstrip("/")


def _base_urls(urls: str) -> str:
    return ",".join(_base_url(url.strip()) for url in urls.split(","))


def _runtime_names(text: str) -> str:
    for name in text.split(",") if text else ():
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,62}", name):
            raise ValueError("must be names like europe,with-gpu")
    return text


BaseUrls = Annotated[str, AfterValidator(_base_urls)]  # one for each process of the service, separated by commas
LongSecret = Annotated[SecretStr, AfterValidator(_long_enough)]


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="GATEWAY_", frozen=True)

    port: Port = 4000
    second_port: Port | None = None  # 3000 for the twin of the client, which calls that one; off by default

    admin_key: LongSecret
    key_pepper: LongSecret
    identity_key: Key32

    # Sessions: any subset; none of them means API keys only (session_settings.py).
    supabase_issuer: Issuer = None
    supabase_jwks_url: KeysUrl = None
    supabase_jwt_secret: JwtSecret = None
    session_leeway_seconds: float = Field(default=30.0, ge=0, le=300)
    session_keys_max_age_seconds: float = Field(default=600.0, gt=0)
    session_keys_refetch_seconds: float = Field(default=30.0, gt=0)  # at most so often for an unknown key id
    session_keys_timeout_seconds: float = Field(default=5.0, gt=0, le=30)
    public_url: PageUrl = None  # a page served under it may write with its user's cookie
    trusted_origins: Origins = ""  # further origins of such pages, separated by commas

    packages_url: BaseUrls
    deployments_url: BaseUrls
    billing_url: BaseUrls
    runtime_notifier_url: BaseUrls
    runtimes: Annotated[str, AfterValidator(_runtime_names)] = (
        ""  # names in RUNTIME_NOTIFIER_RUNTIMES, for apps to choose
    )

    key_ttl_seconds: float = Field(default=4.0, gt=0, le=5)  # a revocation holds everywhere within 5 s
    key_outage_seconds: float = Field(default=300.0, ge=0, le=3600)  # reads with a held key while Postgres is away
    key_lookup_timeout_seconds: float = Field(default=1.0, gt=0, le=10)
    key_use_interval_seconds: float = Field(default=5.0, gt=0)  # `last_used_at` is written so often at most
    key_cache_size: int = Field(default=10_000, ge=1)

    upstream_connections: int = Field(default=1000, ge=1)
    upstream_connect_timeout_seconds: float = Field(default=2.0, gt=0)
    upstream_pool_timeout_seconds: float = Field(default=5.0, gt=0)
    upstream_answer_timeout_seconds: float = Field(default=55.0, gt=0)
    upstream_total_timeout_seconds: float = Field(default=7200.0, gt=0)

    # Each limit holds for one process, of which each address or caller may meet several.
    caller_requests_per_second: float = Field(default=500.0, gt=0)  # of one key or user
    caller_requests_burst: int = Field(default=1000, ge=1)
    refused_requests_per_second: float = Field(default=10.0, gt=0)  # 401s of one address
    refused_requests_burst: int = Field(default=500, ge=1)
    limited_callers_max: int = Field(default=10_000, ge=1)  # so many are remembered, for each of these limits
    uploads_per_account: int = Field(default=100, ge=1)  # on their way at once
    trusted_proxies: int = Field(default=0, ge=0, le=10)  # of our own, which say in X-Forwarded-For who asked
    public_requests_per_second: float = Field(default=20.0, gt=0)  # of one address, to what needs no key
    public_requests_burst: int = Field(default=40, ge=1)

    status_timeout_seconds: float = Field(default=2.0, gt=0)
    status_patience_seconds: float = Field(default=20.0, ge=0, le=25)  # the client reads for 30 s
    status_kept_answers: int = Field(default=4096, ge=1)

    @property
    def runtime_names(self) -> frozenset[str]:
        return frozenset({DEFAULT_RUNTIME, *(self.runtimes.split(",") if self.runtimes else ())})
