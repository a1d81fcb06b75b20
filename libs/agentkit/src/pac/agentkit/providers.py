"""Where the provider layer of an agent's environment comes from: PIXELL_SECRETS_PROVIDER and its companions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pac.agentkit.environment import allowed

PROVIDER = "PIXELL_SECRETS_PROVIDER"
STATIC_JSON = "PIXELL_SECRETS_JSON"
LATER = frozenset({"aws"})


class ProviderFailed(Exception):  # noqa: N818 - it says what happened, as a name
    """The provider cannot give its values, so no agent may start. The text holds no value."""


class SecretsProvider(Protocol):
    """May block (callers use a thread); raises ProviderFailed."""

    @property
    def name(self) -> str: ...

    def fetch(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class NoProvider:
    name: str = "none"

    def fetch(self) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True)
class StaticProvider:
    """A JSON object in PIXELL_SECRETS_JSON; numbers and booleans become their text."""

    text: str = field(repr=False)
    name: str = "static"

    def fetch(self) -> Mapping[str, str]:
        try:
            document = json.loads(self.text)
        except ValueError:
            raise ProviderFailed(f"{STATIC_JSON} is not JSON") from None
        if not isinstance(document, dict):
            raise ProviderFailed(f"{STATIC_JSON} is not a JSON object")
        return {key: _text(key, value) for key, value in document.items()}


@dataclass(frozen=True)
class EnvironProvider:
    """The variables of the starting process that the operator named; nothing else of it reaches an agent."""

    environ: Mapping[str, str] = field(repr=False)
    names: tuple[str, ...]
    name: str = "env"

    def fetch(self) -> Mapping[str, str]:
        return allowed(self.environ, self.names)


@dataclass(frozen=True)
class BrokenProvider:
    """A provider that cannot be used; each agent's start says so instead of starting half-configured."""

    name: str
    reason: str

    def fetch(self) -> Mapping[str, str]:
        raise ProviderFailed(self.reason)


def provider_from(environ: Mapping[str, str], names: tuple[str, ...] = ()) -> SecretsProvider:
    """The provider the environment asks for. `names`: what the `env` provider may hand on."""
    chosen = environ.get(PROVIDER, "").strip().lower()
    text = environ.get(STATIC_JSON)
    match chosen:
        case "" if text is None:
            return NoProvider()
        case "" | "static":
            if not text:
                return BrokenProvider("static", f"{PROVIDER} is static, but {STATIC_JSON} is not set")
            return StaticProvider(text)
        case "env":
            return EnvironProvider(environ, names)
        case _ if chosen in LATER:
            return BrokenProvider(chosen, f"The secrets provider {chosen} is not supported yet ({PROVIDER})")
        case _:
            return BrokenProvider(chosen, f"Unknown secrets provider {chosen!r} ({PROVIDER}): use static or env")


def _text(key: str, value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case _:
            raise ProviderFailed(f"{STATIC_JSON}: the value of {key} is neither text nor a number")
