"""What the local runtime is told by its environment; read once, in `__main__.py`."""

import os
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

MIB = 1024 * 1024
Names = Annotated[tuple[str, ...], NoDecode]


class Settings(BaseSettings):
    """LOCAL_RUNTIME_*. The secret may also be given as a file, LOCAL_RUNTIME_SECRET_FILE."""

    model_config = SettingsConfigDict(env_prefix="LOCAL_RUNTIME_", frozen=True, extra="ignore")

    host: str = "127.0.0.1"
    port: int = Field(default=4090, ge=0, le=65535)
    secret: SecretStr = SecretStr("")
    secret_file: Path | None = None
    state_dir: Path
    package_origins: Names = ()
    base_environment: Names = ()
    install_environment: Names = (
        "UV_*",
        "PIP_*",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "SSL_CERT_*",
        "REQUESTS_CA_BUNDLE",
    )
    uv: str | None = None
    python: str | None = None
    agent_first_uid: int = Field(default=30_000, ge=0, le=60_000)  # 0: agents share the runtime's own user
    agent_slots: int = Field(default=200, ge=1, le=5_000)
    agent_address_space_bytes: int = Field(default=8 * 1024 * MIB, ge=256 * MIB)
    agent_file_size_bytes: int = Field(default=1024 * MIB, ge=MIB)
    agent_open_files: int = Field(default=1024, ge=64)
    agent_processes: int = Field(default=256, ge=8)
    agent_log_bytes: int = Field(default=MIB, ge=4096)
    package_size_bytes: int = Field(default=512 * MIB, ge=1024)
    request_size_bytes: int = Field(default=MIB, ge=1024)
    answer_size_bytes: int = Field(default=4 * MIB, ge=1024)
    provider_timeout_seconds: float = Field(default=20.0, gt=0)
    download_attempts: int = Field(default=3, ge=1, le=10)
    download_timeout_seconds: float = Field(default=120.0, gt=0)
    install_timeout_seconds: float = Field(default=240.0, gt=0)
    start_timeout_seconds: float = Field(default=60.0, gt=0)
    invoke_timeout_seconds: float = Field(default=60.0, gt=0)
    stop_grace_seconds: float = Field(default=2.0, gt=0, le=3)
    ping_seconds: float = Field(default=5.0, gt=0)
    restarts: int = Field(default=5, ge=0, le=20)
    restart_backoff_seconds: float = Field(default=1.0, gt=0)
    preparations: int = Field(default=4, ge=1, le=64)
    remembered: int = Field(default=200, ge=1)

    @field_validator("package_origins", "base_environment", "install_environment", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("package_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            parts = urlsplit(origin)
            if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
                raise ValueError("an origin is http(s)://host[:port]")
        return value

    @field_validator("state_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return Path(os.path.abspath(value))  # noqa: PTH100 - resolve() would follow a link the operator may move

    @model_validator(mode="after")
    def _has_secret(self) -> Self:
        try:
            secret = self.bearer()
        except (OSError, UnicodeDecodeError):
            raise ValueError("the file that LOCAL_RUNTIME_SECRET_FILE names cannot be read") from None
        if not secret:
            raise ValueError("LOCAL_RUNTIME_SECRET (or LOCAL_RUNTIME_SECRET_FILE) must be set")
        return self

    def bearer(self) -> str:
        if self.secret_file is not None:
            return self.secret_file.read_text(encoding="utf-8").strip()
        return self.secret.get_secret_value()
