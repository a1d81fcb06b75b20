"""What an operator may set for runtime-notifier: variables begin with RUNTIME_NOTIFIER_."""

import base64
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    AnyHttpUrl,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic_settings import NoDecode, SettingsConfigDict

from pac.runtime_notifier.running import DEFAULT_RUNTIME
from pac.runtime_notifier.runtime import Runtime
from pac.runtime_notifier.runtimes import Runtimes
from pac.runtime_notifier.secrets.envelope import KeyRing
from pac.runtime_notifier.webhooks.rules import Policy
from pac.runtime_notifier.webhooks.seals import Seals
from pac.servicekit.destinations import Rules, networks_in
from pac.servicekit.settings import Key32, ServiceSettings


def _keys(keys: SecretStr) -> SecretStr:
    KeyRing.from_base64(keys.get_secret_value())
    return keys


def _networks(text: str) -> str:
    networks_in(text)
    return text


def _numbers(text: Any) -> Any:
    """`5,300,1800` as it stands in the environment."""
    return text.split(",") if isinstance(text, str) else text


class NamedRuntime(BaseModel):
    """One of RUNTIME_NOTIFIER_RUNTIMES."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    url: AnyHttpUrl
    secret: SecretStr | None = None
    accepts_environment: bool = False


RuntimeName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
_NAMED = TypeAdapter(dict[RuntimeName, NamedRuntime])


def _named(text: SecretStr) -> SecretStr:
    """Its faults name places, never a value: secrets are in it."""
    try:
        named = _NAMED.validate_json(text.get_secret_value())
    except ValidationError as invalid:
        error = invalid.errors(include_input=False, include_context=False, include_url=False)[0]
        place = ".".join(map(str, error["loc"]))
        raise ValueError(f"{place}: {error['msg']}" if place else "must be a JSON object: name → settings") from None
    if DEFAULT_RUNTIME in named:
        raise ValueError(f"{DEFAULT_RUNTIME}: that one is set by RUNTIME_NOTIFIER_RUNTIME_URL")
    return text


NamedRuntimes = Annotated[SecretStr, AfterValidator(_named)]
Keys = Annotated[SecretStr, AfterValidator(_keys)]  # each base64 of 32 bytes, separated by commas


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="RUNTIME_NOTIFIER_", frozen=True)

    runtime_url: AnyHttpUrl
    runtime_secret: SecretStr | None = None
    runtime_accepts_environment: bool = False
    # More of them, by the names that apps choose by: {"europe": {"url": …, "secret": …, "accepts_environment": false}}
    runtimes: NamedRuntimes | None = None
    runtime_timeout_seconds: float = Field(default=10.0, gt=0, le=60)  # of one call
    runtime_answer_max_bytes: int = Field(default=65_536, ge=1024)
    # Watched at once by one process: more than the hub runs at a time, since each may take up to its deadline.
    runtime_parallel: int = Field(default=128, ge=1, le=500)
    runtime_url_seconds: int = Field(default=900, ge=60, le=3600)  # how long a download address is good for
    late_limit_seconds: float = Field(default=900.0, ge=0)  # after that it is given up, and looked at seldom
    give_again_seconds: float = Field(default=300.0, gt=0)  # what is given again has that long to become healthy
    reconcile_seconds: float = Field(default=10.0, gt=0)
    sealing_key: Key32
    key_encryption_key: Key32  # wraps the data keys of stored secrets
    key_encryption_retired_keys: Keys | None = None  # that wrapped before: read until `pac secrets rekey` is through
    log_followers_per_account: int = Field(default=10, ge=1)  # in one process
    log_followers_overall: int = Field(default=200, ge=1)
    log_follow_seconds: float = Field(default=900.0, gt=0)  # then a browser comes back by itself
    webhook_allowed_networks: Annotated[str, AfterValidator(_networks)] = ""  # although not public; also by http
    webhook_parallel: int = Field(default=32, ge=1, le=500)  # endpoints served at once by one process
    webhook_parallel_per_endpoint: int = Field(default=4, ge=1, le=50)  # requests, each of another deployment
    webhook_timeout_seconds: float = Field(default=15.0, gt=0, le=60)
    webhook_answer_max_bytes: int = Field(default=65_536, ge=0)
    # Waits between the attempts at one notice: 72 hours in all.
    webhook_retry_seconds: Annotated[tuple[Annotated[float, Field(gt=0)], ...], NoDecode, BeforeValidator(_numbers)] = (
        *(5, 300, 1_800, 7_200, 18_000),
        *(36_000, 50_400, 72_000, 73_200),
    )
    webhook_circuit_failures: int = Field(default=8, ge=1)  # in a row, until one attempt at a time is made
    webhook_pause_seconds: float = Field(default=30.0, gt=0)  # between those, doubling
    webhook_longest_pause_seconds: float = Field(default=600.0, gt=0)
    webhook_retry_after_max_seconds: float = Field(default=86_400.0, gt=0)
    webhook_disable_seconds: float = Field(default=432_000.0, gt=0)  # without a success
    webhook_rotation_seconds: float = Field(default=86_400.0, gt=0)  # a secret that was replaced still signs
    webhooks_per_app: int = Field(default=20, ge=1)
    webhook_keep_days: float = Field(default=30.0, gt=0)  # notices and attempts

    @property
    def every_runtime(self) -> Runtimes:
        default = NamedRuntime(
            url=self.runtime_url,
            secret=self.runtime_secret,
            accepts_environment=self.runtime_accepts_environment,
        )
        named = _NAMED.validate_json(self.runtimes.get_secret_value()) if self.runtimes is not None else {}
        return Runtimes({name: self._runtime(name, each) for name, each in {DEFAULT_RUNTIME: default, **named}.items()})

    def _runtime(self, name: str, chosen: NamedRuntime) -> Runtime:
        return Runtime(
            str(chosen.url),
            chosen.secret,
            timeout_seconds=self.runtime_timeout_seconds,
            answer_max_bytes=self.runtime_answer_max_bytes,
            accepts_environment=chosen.accepts_environment,
            name=name,
        )

    @property
    def sealing_key_bytes(self) -> bytes:
        return base64.b64decode(self.sealing_key.get_secret_value(), validate=True)

    @property
    def key_ring(self) -> KeyRing:
        retired = self.key_encryption_retired_keys
        return KeyRing.from_base64(
            self.key_encryption_key.get_secret_value(), retired.get_secret_value() if retired is not None else ""
        )

    @property
    def webhook_rules(self) -> Rules:
        return Rules(networks_in(self.webhook_allowed_networks))

    @property
    def webhook_policy(self) -> Policy:
        return Policy(
            retry_seconds=self.webhook_retry_seconds,
            circuit_failures=self.webhook_circuit_failures,
            pause_seconds=self.webhook_pause_seconds,
            longest_pause_seconds=self.webhook_longest_pause_seconds,
            disable_seconds=self.webhook_disable_seconds,
            retry_after_max_seconds=self.webhook_retry_after_max_seconds,
        )

    @property
    def webhook_seals(self) -> Seals:
        return Seals.of_ring(self.key_ring)
