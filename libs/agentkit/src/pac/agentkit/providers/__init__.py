"""Where the provider layer of an agent's environment comes from: PIXELL_SECRETS_PROVIDER and its companions."""

from pac.agentkit.providers.choice import PROVIDER, provider_from
from pac.agentkit.providers.model import BrokenProvider, NoProvider, ProviderFailed, SecretsProvider

__all__ = ["PROVIDER", "BrokenProvider", "NoProvider", "ProviderFailed", "SecretsProvider", "provider_from"]
