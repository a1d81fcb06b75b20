"""The values that are taken out wherever a runtime or an agent speaks: what they were given, and our own secrets."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from pac.runtime_notifier.environments import Environments
from pac.runtime_notifier.errands import Facts
from pac.runtime_notifier.runtimes import Runtimes


@dataclass(frozen=True)
class Hiding:
    environments: Environments
    runtimes: Runtimes

    @property
    def ours(self) -> Sequence[str]:
        return self.runtimes.secrets

    async def values(self, app_id: UUID, facts: Facts, runtime: str) -> Sequence[str]:
        """The request's, and all that is kept of the app's secrets. Raises EnvironmentLost, OSError."""
        if not self.runtimes[runtime].accepts_environment:
            return self.ours
        given = await self.environments.merged(app_id, facts)
        stored = await self.environments.provider.every_value_of(app_id)
        return [*self.ours, *(value.get_secret_value() for value in (*given.values(), *stored))]
