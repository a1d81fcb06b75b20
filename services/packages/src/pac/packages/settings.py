"""Settings of packages, read once in `__main__.py`."""

import tempfile
from pathlib import Path

from pydantic import AliasChoices, Field
from pydantic_settings import SettingsConfigDict

from pac.servicekit.settings import Key32, ServiceSettings

MIB = 1024 * 1024


class Settings(ServiceSettings):
    model_config = SettingsConfigDict(env_prefix="PACKAGES_", frozen=True)

    public_url: str = Field(
        default="http://localhost:4000", validation_alias=AliasChoices("PACKAGES_PUBLIC_URL", "GATEWAY_PUBLIC_URL")
    )
    sealing_public_key: Key32
    fingerprint_key: Key32
    temp_dir: Path = Path(tempfile.gettempdir())
    max_size_bytes: int = Field(default=100 * MIB, ge=1024, le=1024 * MIB)  # the runtime's own limit
    upload_deadline_seconds: float = Field(default=300.0, gt=0)
    upload_idle_seconds: float = Field(default=20.0, gt=0)
    upload_minimum_bytes_per_second: int = Field(default=8192, ge=0)
    check_workers: int = Field(default=2, ge=1, le=64)
    check_timeout_seconds: float = Field(default=120.0, gt=0)
    check_processor_seconds: int = Field(default=60, ge=1)
    check_memory_bytes: int = Field(default=512 * MIB, ge=64 * MIB)  # of address space; a check takes some 30 MiB
    steps_parallel: int = Field(default=4, ge=1, le=100)
    decision_wait_seconds: float = Field(default=10.0, ge=0, le=30)
    holder_wait_seconds: float = Field(default=2.0, ge=0, le=10)
    relay_backlog_seconds: float = Field(default=2.0, gt=0)  # above it nobody waits for a decision
    download_seconds: int = Field(default=900, ge=10, le=86400)
    sweep_interval_seconds: float = Field(default=600.0, gt=0)
    keep_unused_seconds: float = Field(default=86400.0, ge=0)  # bytes that no package needs; a retry may want them
    staging_age_seconds: float = Field(default=3600.0, ge=60)  # younger uploads may still be coming in
