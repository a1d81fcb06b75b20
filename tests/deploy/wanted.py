"""What each process reads from its environment, by its own settings classes: what files in deploy/ must give it."""

import importlib

from pydantic_settings import BaseSettings

from pac.agentkit.runtime.settings import Settings as RuntimeSettings
from pac.servicekit.objects import ObjectsSettings
from pac.servicekit.settings import variables_of

SERVICES = ("gateway", "packages", "deployments", "billing", "runtime-notifier")
WITH_OBJECTS = ("packages", "runtime-notifier")
# Optional fields without which a service starts, and does not do all that it is for.
NEEDED_ALL_THE_SAME = {"identity_public_key", "host", "port", "admin_port", "kafka_servers", "proof_key"}
NOT_OF_THE_GATEWAY = {"identity_public_key", "proof_key"}  # it signs identities, and has no part in proofs
BY_LIBRARIES = {"OTEL_EXPORTER_OTLP_ENDPOINT", "GATEWAY_PUBLIC_URL", "GATEWAY_IDENTITY_PUBLIC_KEY"}


def settings_of(service: str) -> list[type[BaseSettings]]:
    if service == "runtime":
        return [RuntimeSettings]
    module = importlib.import_module(f"pac.{service.replace('-', '_')}.settings")
    found: type[BaseSettings] = module.Settings
    return [found, *([ObjectsSettings] if service in WITH_OBJECTS else [])]


def known(service: str) -> set[str]:
    """Every variable that the process may be given."""
    common = {"PAC_LOG_LEVEL", "PAC_LOG_FORMAT"}
    return {name for one in settings_of(service) for name in variables_of(one).values()} | common | BY_LIBRARIES


def required(service: str) -> set[str]:
    """Every variable that the process must be given."""
    needed = NEEDED_ALL_THE_SAME - (NOT_OF_THE_GATEWAY if service == "gateway" else set())
    if service == "runtime":
        return {"LOCAL_RUNTIME_HOST", "LOCAL_RUNTIME_STATE_DIR", "LOCAL_RUNTIME_SECRET"}
    return {
        variable
        for one in settings_of(service)
        for field, variable in variables_of(one).items()
        if one.model_fields[field].is_required() or field in needed
    }
