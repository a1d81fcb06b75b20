"""Settings of a process: read once from the environment, checked all at once, never shown with their values."""

import base64
import binascii
import difflib
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, AliasChoices, Field, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, SettingsError
from pydantic_settings.sources import EnvSettingsSource

S = TypeVar("S", bound=BaseSettings)
# Kubernetes puts these beside ours for every Service object of the namespace.
_SERVICE_LINK = re.compile(r"_SERVICE_(HOST|PORT)(_|$)|_PORT_\d+_(TCP|UDP)")


class InvalidSettings(Exception):  # noqa: N818 - says what is wrong with the settings
    """Every fault found, one line each: the variable and what is wrong with it."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


def _database_url(url: SecretStr) -> SecretStr:
    parts = urlsplit(url.get_secret_value())
    if parts.scheme not in {"postgresql", "postgres"} or not parts.hostname or not parts.path.strip("/"):
        raise ValueError("must look like postgresql://user:password@host:port/database")
    return url


def _key_bytes(text: SecretStr) -> SecretStr:
    try:
        raw = base64.b64decode(text.get_secret_value(), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("must be base64") from None
    if len(raw) != KEY_BYTES:
        raise ValueError(f"must be base64 of exactly {KEY_BYTES} bytes")
    return text


def _public_keys(text: str) -> str:
    for key in text.split(","):
        _key_bytes(SecretStr(key.strip()))
    return text


KEY_BYTES = 32
DatabaseUrl = Annotated[SecretStr, AfterValidator(_database_url)]
Key32 = Annotated[SecretStr, AfterValidator(_key_bytes)]
PublicKeys = Annotated[str, AfterValidator(_public_keys)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Settings(BaseSettings):
    """What all settings share: the environment alone, and `<NAME>_FILE` for every secret."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True)
    also_known: ClassVar[tuple[str, ...]] = ()  # variables with our prefix that another settings class reads

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del env_settings, dotenv_settings, file_secret_settings
        return (init_settings, _Environment(settings_cls))


class KafkaSettings(Settings):
    kafka_servers: str = Field(default="127.0.0.1:9092", validation_alias="KAFKA_SERVERS")
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", validation_alias="KAFKA_SECURITY_PROTOCOL"
    )
    kafka_sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", validation_alias="KAFKA_SASL_MECHANISM"
    )
    kafka_sasl_username: str | None = Field(default=None, validation_alias="KAFKA_SASL_USERNAME")
    kafka_sasl_password: SecretStr | None = Field(default=None, validation_alias="KAFKA_SASL_PASSWORD")
    kafka_ssl_ca_file: Path | None = Field(default=None, validation_alias="KAFKA_SSL_CA_FILE")
    kafka_ssl_certificate_file: Path | None = Field(default=None, validation_alias="KAFKA_SSL_CERTIFICATE_FILE")
    kafka_ssl_key_file: Path | None = Field(default=None, validation_alias="KAFKA_SSL_KEY_FILE")


class ServiceSettings(KafkaSettings):
    """Subclass with `SettingsConfigDict(env_prefix="<SERVICE>_")`; fields without an alias get that prefix."""

    database_url: DatabaseUrl
    host: str = "127.0.0.1"
    port: Port = 0
    admin_port: Port = 0
    reuse_port: bool = False  # several processes behind one public port (SO_REUSEPORT)
    identity_public_key: PublicKeys | None = Field(default=None, validation_alias="GATEWAY_IDENTITY_PUBLIC_KEY")
    log_format: Literal["json", "console"] = Field(default="json", validation_alias="PAC_LOG_FORMAT")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", validation_alias="PAC_LOG_LEVEL")
    traces_endpoint: str | None = Field(default=None, validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT")
    traces_file: Path | None = Field(default=None, validation_alias="PAC_TRACES_FILE")  # a line of JSON per span
    pool_size: int = Field(default=10, ge=1, le=200)
    proof_key: Key32 | None = None  # the seed (Ed25519) that signs what this service says in proofs
    proof_retired_public_keys: PublicKeys | None = None  # of seeds used before: older proofs still name them
    body_max_size_bytes: int = Field(default=1_048_576, ge=1024)  # of JSON bodies; uploads count for themselves
    body_timeout_seconds: float = Field(default=30.0, gt=0)
    consumer_batch_size: int = Field(default=200, ge=1, le=5000)
    consumer_parallel_keys: int = Field(default=8, ge=1, le=100)
    consumer_wait_seconds: float = Field(default=60.0, gt=0, le=200)  # below Kafka's max.poll.interval of 300 s
    retry_interval_seconds: float = Field(default=1.0, gt=0)
    retry_limit: int = Field(default=8, ge=1)  # tries of a parked message before a copy goes to the dead letters

    @property
    def idempotency_secret(self) -> bytes:
        """What fingerprints and kept answers are made with: not in the database, the same for all replicas."""
        secret = self.proof_key or self.database_url
        return secret.get_secret_value().encode()


def _is_secret(annotation: Any) -> bool:
    return annotation in {SecretStr, SecretBytes} or any(_is_secret(inner) for inner in get_args(annotation))


def is_secret_field(info: FieldInfo) -> bool:
    return _is_secret(info.annotation) or any(map(_is_secret, info.metadata))


def _secret_fields(settings: type[BaseSettings]) -> set[str]:
    return {name for name, info in settings.model_fields.items() if is_secret_field(info)}


def variables_of(settings: type[BaseSettings]) -> dict[str, str]:
    """Field → the variable it is read from."""
    prefix = settings.model_config.get("env_prefix", "")
    names: dict[str, str] = {}
    for field, info in settings.model_fields.items():
        alias = info.validation_alias
        first = alias.choices[0] if isinstance(alias, AliasChoices) else alias
        names[field] = str(first) if first is not None else f"{prefix}{field}".upper()
    return names


class _Environment(EnvSettingsSource):
    """The environment, in which a secret may also be the content of the file that `<NAME>_FILE` names."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        found = dict(super()._load_env_vars())
        faults, secret = [], _secret_fields(self.settings_cls)
        for field, variable in variables_of(self.settings_cls).items():
            path = os.environ.get(f"{variable}_FILE")
            if path is None or field not in secret:
                continue
            if os.environ.get(variable):
                faults.append(f"{variable} and {variable}_FILE are both set: keep one")
                continue
            try:
                found[variable if self.case_sensitive else variable.lower()] = Path(path).read_text("utf-8").strip()
            except (OSError, UnicodeDecodeError) as fault:
                reason = fault.strerror if isinstance(fault, OSError) else "not UTF-8 text"
                faults.append(f"{variable}_FILE: cannot read the file it names: {reason}")
        if faults:
            raise InvalidSettings(faults)
        return found


def _unknown(settings: type[BaseSettings]) -> list[str]:
    """Variables with the service's own prefix that nothing reads: most likely misspelt, so never ignored."""
    prefix = str(settings.model_config.get("env_prefix", "")).upper()
    if not prefix:
        return []
    variables, also = variables_of(settings), getattr(settings, "also_known", ())
    known = {*variables.values(), *also, *(f"{variables[field]}_FILE" for field in _secret_fields(settings))}
    faults = []
    for name in sorted(os.environ):
        if not name.startswith(prefix) or name in known or _SERVICE_LINK.search(name):
            continue
        near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
        hint = f"; did you mean {near[0]}?" if near else ""
        faults.append(f"{name} is not a setting{hint}")
    return faults


def _line(variables: Mapping[str, str], error: Any) -> str:
    location = [str(part) for part in error["loc"]]
    by_alias = {name.lower(): name for name in variables.values()}
    field = location[0] if location else ""
    variable = variables.get(field) or by_alias.get(field.lower(), field.upper())
    if error["type"] == "missing":
        return f"{variable} is not set"
    return f"{variable}: {str(error['msg']).removeprefix('Value error, ')}"


def read_settings(settings: type[S]) -> S:
    """The settings of this process's environment. Raises InvalidSettings with every fault, and no value, in it."""
    variables = variables_of(settings)
    faults = _unknown(settings)
    try:
        found = settings()
    except InvalidSettings as invalid:
        raise InvalidSettings([*invalid.faults, *faults]) from None
    except ValidationError as invalid:
        lines = [_line(variables, error) for error in invalid.errors(include_input=False, include_context=False)]
        raise InvalidSettings([*lines, *faults]) from None
    except SettingsError as invalid:
        field = next((name for name in variables if f'"{name}"' in str(invalid)), "")
        raise InvalidSettings([f"{variables.get(field, field)}: must be JSON", *faults]) from None
    if faults:
        raise InvalidSettings(faults)
    return found


def load_settings(settings: type[S]) -> S:
    """As `read_settings`; ends the process with code 2 and the faults on stderr."""
    try:
        return read_settings(settings)
    except InvalidSettings as invalid:
        sys.stderr.writelines(f"{fault}\n" for fault in invalid.faults)
        raise SystemExit(2) from None
