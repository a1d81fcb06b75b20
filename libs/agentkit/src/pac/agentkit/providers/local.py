"""Providers that need nobody else: a JSON object in one variable, and variables of the starting process."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from pac.agentkit.providers.model import ProviderFailed, Unusable, named_texts

STATIC_JSON = "PIXELL_SECRETS_JSON"
STATIC_HINT = f"Set {STATIC_JSON} to a JSON object of names and texts."


@dataclass(frozen=True)
class StaticProvider:
    document: str = field(repr=False)
    name: str = "static"

    async def fetch(self) -> Mapping[str, str]:
        try:
            return named_texts(self.document)
        except Unusable as fault:
            raise ProviderFailed(self.name, f"{STATIC_JSON} {fault}", STATIC_HINT) from None


@dataclass(frozen=True)
class EnvironProvider:
    """What the starting process offers; nothing else of it reaches an agent."""

    offered: Mapping[str, str] = field(repr=False)
    name: str = "env"

    async def fetch(self) -> Mapping[str, str]:
        return self.offered
