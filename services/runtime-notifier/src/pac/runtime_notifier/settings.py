"""What an operator may set for runtime-notifier: variables begin with RUNTIME_NOTIFIER_."""

import base64

from pydantic import AnyHttpUrl, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from pac.servicekit.settings import Key32, ServiceSettings


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
    key_encryption_key: Key32 | None = None
    webhook_allowed_networks: str = ""

    @property
    def sealing_key_bytes(self) -> bytes:
        return base64.b64decode(self.sealing_key.get_secret_value(), validate=True)
