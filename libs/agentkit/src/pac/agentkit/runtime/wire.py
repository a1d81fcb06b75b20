"""The runtime's contract as types: what is read strictly, what is answered."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr
from pydantic.alias_generators import to_camel

WireId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:~@+-]{0,127}$")]


def _http_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        _ = parts.port
    except ValueError:
        raise ValueError("packageUrl is not a URL") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("packageUrl must be an http or https URL")
    if parts.username or parts.password:
        raise ValueError("packageUrl may not carry credentials")
    return value


def _environment_name(value: str) -> str:
    if not value or "=" in value or "\0" in value:
        raise ValueError("not a name of an environment variable")
    return value


class Body(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, alias_generator=to_camel, hide_input_in_errors=True
    )


class Surfaces(Body):
    mode: Literal["multiplex", "multiport"] = "multiplex"
    ports: dict[str, int] | None = None


class Webhook(Body):
    url: str = Field(max_length=2048)
    secret: SecretStr | None = None


class DeployRequest(Body):
    """POST /deploy. `environment` is an addition: the layers request and provider, merged by the caller."""

    deployment_id: WireId
    agent_app_id: WireId
    org_id: str = Field(min_length=1, max_length=128)
    version: str = Field(min_length=1, max_length=128)
    package_url: Annotated[str, Field(max_length=8192), AfterValidator(_http_url)] | None = None
    package_sha256: str | None = Field(default=None, pattern=r"^[0-9a-fA-F]{64}$", alias="packageSha256")
    force_refresh: bool = False
    cpu_units: int | None = Field(default=None, ge=1, le=1_000_000)
    memory_mb: int | None = Field(default=None, ge=1, le=10_000_000, alias="memoryMB")
    surfaces: Surfaces | None = None
    webhook: Webhook | None = None
    environment: dict[Annotated[str, AfterValidator(_environment_name)], str] = Field(default_factory=dict, repr=False)


class InvokeRequest(Body):
    action: str = Field(max_length=1024)
    context: Any = None


def error_body(message: str, error: str = "HTTPException", **more: object) -> dict[str, object]:
    return {"error": error, "message": message, **more}


def health_body(status: str, *, healthy: bool, message: str | None) -> dict[str, object]:
    """Surfaces are always off: this runtime serves the entrypoint (invoke) and no ports."""
    return {
        "status": status,
        "healthy": healthy,
        "message": message,
        "details": {"error": message} if status == "failed" else {},
        "surfaces": {"rest": False, "a2a": False, "ui": False},
        "ports": None,
    }
