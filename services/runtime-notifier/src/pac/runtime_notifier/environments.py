"""The environment that an agent is given by us: the request's layer over the provider's. Values end here."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from pydantic import RootModel, SecretStr, StrictStr, ValidationError

from pac.agentkit.environment import BadEnvironment, Layers, merge
from pac.contracts.base import SealedEnvironment
from pac.runtime_notifier.errands import Facts
from pac.servicekit.objects import ObjectChanged, ObjectMissing
from pac.servicekit.sealing import CannotOpen, environment_context, open_sealed

SEALED_MAX_BYTES = 1_048_576
Values = Mapping[str, SecretStr]


class EnvironmentLost(Exception):  # noqa: N818 - says what happened, and no value
    """A deployment's environment is gone, or cannot be opened with this service's key."""


class Store(Protocol):
    """What is needed of the object store."""

    async def presigned_get(self, key: str, seconds: int) -> str: ...

    async def get_bytes(self, key: str, *, max_bytes: int = ...) -> bytes: ...


class ProviderLayer(Protocol):
    """Secrets stored for an app, which every deployment of it is given. Both raise EnvironmentLost, OSError."""

    async def values_of(self, app_id: UUID) -> Values: ...

    async def every_value_of(self, app_id: UUID) -> Sequence[SecretStr]:
        """Also those that it had before: it may have been given them then."""


class _Opened(RootModel[dict[str, StrictStr]]):
    pass


@dataclass(frozen=True)
class Environments:
    store: Store
    provider: ProviderLayer
    sealing_key: bytes = field(repr=False)

    async def merged(self, app_id: UUID, facts: Facts) -> Values:
        """Request > provider; what is weaker is merged by whoever starts the agent. Raises EnvironmentLost, OSError."""
        provided = await self.provider.values_of(app_id)
        layers = Layers(
            request=await self._opened(facts.environment) if facts.environment is not None else {},
            provider={name: value.get_secret_value() for name, value in provided.items()},
        )
        try:
            return {name: SecretStr(value) for name, value in merge(layers).items()}
        except BadEnvironment as bad:
            raise EnvironmentLost(f"The environment of the deployment cannot be used: {bad}") from None

    async def _opened(self, sealed: SealedEnvironment) -> Mapping[str, str]:
        # A retry or a rollback brings back the environment of the deployment that it was sealed for.
        sealed_for = sealed.object_key.rpartition("/")[2]
        try:
            content = await self.store.get_bytes(sealed.object_key, max_bytes=SEALED_MAX_BYTES)
            opened = open_sealed(self.sealing_key, content, environment_context(sealed_for))
            values = _Opened.model_validate(json.loads(opened))
        except (ObjectMissing, ObjectChanged):
            raise EnvironmentLost("The environment of the deployment is no longer kept") from None
        except CannotOpen as cannot:
            raise EnvironmentLost(f"The environment of the deployment cannot be opened: {cannot}") from None
        except (ValidationError, ValueError):
            raise EnvironmentLost("The environment of the deployment is not a set of names and texts") from None
        return values.root
