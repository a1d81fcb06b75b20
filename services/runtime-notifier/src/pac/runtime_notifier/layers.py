"""The layers of an app's environment that are known here, for the gateway, which explains it. Names, never a value."""

from dataclasses import dataclass
from uuid import UUID

from aiohttp import web
from sqlalchemy import select

from pac.contracts.bodies.secrets import StoredLayersReply
from pac.eventlog import EventLog
from pac.runtime_notifier.errands import Facts
from pac.runtime_notifier.running import DEFAULT_RUNTIME
from pac.runtime_notifier.runtimes import Runtimes
from pac.runtime_notifier.secrets.api import owner_of, view_of
from pac.runtime_notifier.secrets.vault import Vault
from pac.runtime_notifier.tables import APPS, DELIVERIES
from pac.servicekit.http import reply


@dataclass(frozen=True)
class LayersApi:
    """A runtime that accepts no environment is given neither of these layers."""

    log: EventLog
    vault: Vault
    runtimes: Runtimes

    async def get_layers(self, request: web.Request) -> web.Response:
        owner = owner_of(request)
        runtime, deployment_id, facts = await self._current(owner.app_id)
        book = await self.vault.book(owner.app_id)
        sealed = facts.environment if facts is not None else None
        return reply(
            StoredLayersReply(
                is_given=self.runtimes[runtime].accepts_environment,
                deployment_id=deployment_id,
                package_id=facts.package_id if facts is not None else None,
                environment_of=UUID(sealed.object_key.rpartition("/")[2]) if sealed is not None else None,
                request=sealed.names if sealed is not None else (),
                secrets_version=book.version,
                stored=tuple(map(view_of, book.in_force)),
            )
        )

    async def _current(self, app_id: UUID) -> tuple[str, UUID | None, Facts | None]:
        """The app's runtime, and its current release."""
        joined = APPS.outerjoin(DELIVERIES, DELIVERIES.c.deployment_id == APPS.c.current)
        statement = select(APPS.c.runtime, DELIVERIES.c.deployment_id, DELIVERIES.c.facts).select_from(joined)
        async with self.log.reading() as connection:
            row = (await connection.execute(statement.where(APPS.c.app_id == app_id))).one_or_none()
        if row is None:
            return DEFAULT_RUNTIME, None, None
        return row.runtime, row.deployment_id, Facts.model_validate(row.facts) if row.facts is not None else None
