"""What the gateway hears of the hub: an app's current release, and what the app is set to, so that both are shown."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, func, update

from pac.contracts.deployments import AppPinned, AppReleased, AppStopped, DeploymentCompleted, DeploymentsEvent
from pac.eventlog import EventLog, Message
from pac.gateway.tables import agent_apps


@dataclass(frozen=True)
class Consumers:
    log: EventLog

    async def on_deployments_event(self, message: Message[DeploymentsEvent]) -> None:
        match message.event:
            case DeploymentCompleted(current=True) as completed:
                await self._released(message, completed)
            case AppPinned(agent_app_id=app_id):
                await self._set(message, app_id, pinned=True)
            case AppReleased(agent_app_id=app_id):
                await self._set(message, app_id, pinned=False)
            case AppStopped(agent_app_id=app_id, release=release):
                highest = func.greatest(agent_apps.c.stopped_release, release)
                await self._set(message, app_id, stopped_release=highest)
            case _:
                pass  # the hub's other news is for others; the inbox moves over it

    async def _released(self, message: Message[DeploymentsEvent], event: DeploymentCompleted) -> None:
        """Only to a higher release: completions of one app may be heard in any order."""
        values = {
            "current_release": event.release,
            "current_deployment_id": event.deployment_id,
            "current_package_id": event.package_id,
            "current_version": event.package_version,
        }
        lower = agent_apps.c.current_release < event.release
        await self._set(message, event.agent_app_id, lower, **values)

    async def _set(
        self, message: Message[DeploymentsEvent], app_id: UUID, *conditions: ColumnElement[bool], **values: Any
    ) -> None:
        async with self.log.transaction(cause=message) as tx:
            await tx.execute(update(agent_apps).where(agent_apps.c.id == app_id, *conditions).values(**values))
