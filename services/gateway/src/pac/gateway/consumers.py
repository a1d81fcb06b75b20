"""What the gateway hears: which release of an app is current, so that the app can be shown with it."""

from dataclasses import dataclass

from sqlalchemy import update

from pac.contracts.deployments import DeploymentCompleted, DeploymentsEvent
from pac.eventlog import EventLog, Message
from pac.gateway.tables import agent_apps


@dataclass(frozen=True)
class Consumers:
    log: EventLog

    async def on_deployments_event(self, message: Message[DeploymentsEvent]) -> None:
        match message.event:
            case DeploymentCompleted(current=True) as completed:
                await self._released(message, completed)
            case _:
                pass  # the hub's other news is for others; the inbox moves over it

    async def _released(self, message: Message[DeploymentsEvent], event: DeploymentCompleted) -> None:
        """Only to a higher release: completions of one app may be heard in any order."""
        app = (agent_apps.c.id == event.agent_app_id) & (agent_apps.c.current_release < event.release)
        values = {
            "current_release": event.release,
            "current_deployment_id": event.deployment_id,
            "current_package_id": event.package_id,
            "current_version": event.package_version,
        }
        async with self.log.transaction(cause=message) as tx:
            await tx.execute(update(agent_apps).where(app).values(values))
