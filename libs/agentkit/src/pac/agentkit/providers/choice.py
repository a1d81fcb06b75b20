"""Which provider an environment asks for."""

from collections.abc import Mapping

from pac.agentkit.providers.local import STATIC_HINT, STATIC_JSON, EnvironProvider, StaticProvider
from pac.agentkit.providers.model import BrokenProvider, NoProvider, SecretsProvider

PROVIDER = "PIXELL_SECRETS_PROVIDER"
AWS_SECRETS = "PIXELL_AWS_SECRETS"
AWS_REGION = "PIXELL_AWS_REGION"


def provider_from(
    environ: Mapping[str, str], offered: Mapping[str, str], timeout_seconds: float = 20.0
) -> SecretsProvider:
    """`offered`: what `env` hands on. The timeout is for a provider that asks somebody else, over all it asks."""
    document = environ.get(STATIC_JSON)
    match environ.get(PROVIDER, "").strip().lower():
        case "" if document is None:
            return NoProvider()
        case "" | "static":
            return _static(document)
        case "env":
            return EnvironProvider(offered)
        case "aws":
            return _aws(environ, timeout_seconds)
        case "none":
            return NoProvider()
        case unknown:
            hint = f"Set {PROVIDER} to static, env, aws or none."
            return BrokenProvider(repr(unknown), "there is no provider of this name", hint)


def _static(document: str | None) -> SecretsProvider:
    if not document:
        return BrokenProvider("static", f"{STATIC_JSON} is not set", STATIC_HINT)
    return StaticProvider(document)


def _aws(environ: Mapping[str, str], timeout_seconds: float) -> SecretsProvider:
    secrets = tuple(name for part in environ.get(AWS_SECRETS, "").split(",") if (name := part.strip()))
    if not secrets:
        hint = f"Set {AWS_SECRETS} to names or ARNs of secrets, separated by commas."
        return BrokenProvider("aws", f"{AWS_SECRETS} is not set", hint)
    from pac.agentkit.providers.aws import AwsProvider  # noqa: PLC0415 (slow to import, and seldom wanted)

    return AwsProvider(secrets, environ.get(AWS_REGION, "").strip() or None, timeout_seconds)
