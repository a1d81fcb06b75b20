"""What an operator may set for runtime-notifier: variables begin with RUNTIME_NOTIFIER_."""

import base64
from typing import Annotated

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from pac.runtime_notifier.secrets.envelope import KeyRing
from pac.servicekit.settings import Key32, ServiceSettings


def _keys(keys: SecretStr) -> SecretStr:
    KeyRing.from_base64(keys.get_secret_value())
    return keys


Keys = Annotated[SecretStr, AfterValidator(_keys)]  # each base64 of 32 bytes, separated by commas


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="RUNTIME_NOTIFIER_", frozen=True)

    runtime_url: AnyHttpUrl
    runtime_secret: SecretStr | None = None
    runtime_accepts_environment: bool = False
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
    webhook_allowed_networks: str = ""

    @property
    def sealing_key_bytes(self) -> bytes:
        return base64.b64decode(self.sealing_key.get_secret_value(), validate=True)

    @property
    def key_ring(self) -> KeyRing:
        retired = self.key_encryption_retired_keys
        return KeyRing.from_base64(
            self.key_encryption_key.get_secret_value(), retired.get_secret_value() if retired is not None else ""
        )
