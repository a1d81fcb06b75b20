"""What a provider is, how it says that it has nothing, and how a JSON object becomes names and texts."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

# A process gets its arguments and its environment in about 2 MiB, one text at most 128 KiB (Linux).
LAYER_BYTES = 256 * 1024


class ProviderFailed(Exception):  # noqa: N818 - it says what happened, as a name
    """The provider cannot give its values, so no agent may start. One line: what, why, what to do; no value."""

    def __init__(self, provider: str, why: str, then: str) -> None:
        super().__init__(f"The secrets provider {provider} gave nothing: {why}. {then}")
        self.what = f"the secrets provider {provider} gave nothing"
        self.why = why
        self.then = then


class SecretsProvider(Protocol):
    """Asked at each start of an agent; raises ProviderFailed."""

    @property
    def name(self) -> str: ...

    async def fetch(self) -> Mapping[str, str]: ...


@dataclass(frozen=True)
class NoProvider:
    name: str = "none"

    async def fetch(self) -> Mapping[str, str]:
        return {}


@dataclass(frozen=True)
class BrokenProvider:
    """A provider that cannot be used; each agent's start says so instead of starting half-configured."""

    name: str
    why: str
    then: str

    async def fetch(self) -> Mapping[str, str]:
        raise ProviderFailed(self.name, self.why, self.then)


class Unusable(ValueError):  # noqa: N818 - it says what a document is, as a name
    """The document gives no values; the text continues its name and holds none of them."""


def named_texts(document: str) -> dict[str, str]:
    """A JSON object of names and texts; numbers (as they are written) and booleans become text. Unusable."""
    if len(document.encode("utf-8", "surrogatepass")) > LAYER_BYTES:
        raise Unusable(f"is larger than {LAYER_BYTES // 1024} KiB")
    try:
        values = json.loads(document, parse_int=str, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        raise Unusable("is not JSON") from None
    if not isinstance(values, dict):
        raise Unusable("is not a JSON object")
    return {name: _text(name, value) for name, value in values.items()}


def _text(name: str, value: object) -> str:
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case _:
            raise Unusable(f"gives {name} a value that is neither text nor a number")
