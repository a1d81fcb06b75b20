"""What an app is set to: `…/release` ends a pin, `…/stop` lets nothing of it run until something is deployed again."""

from dataclasses import dataclass
from uuid import UUID

import structlog
from aiohttp import web
from sqlalchemy import select

from pac.contracts.bodies.deployments import AppStateReply, AppStateView
from pac.deployments.domain import APP, AppState, ReleaseApp, StopApp
from pac.deployments.queue import Queue
from pac.deployments.tables import apps
from pac.eventlog import EventLog
from pac.servicekit.clock import Clock
from pac.servicekit.http import account_and_app, cause_of, nothing_in, reply

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Current:
    """The app's current release; 0 and None before the first."""

    release: int = 0
    deployment_id: UUID | None = None


@dataclass(frozen=True)
class Apps:
    """Both may be asked again and again: what is so already is no event."""

    log: EventLog
    queue: Queue
    clock: Clock

    async def post_release(self, request: web.Request) -> web.Response:
        account_id, app_id = account_and_app(request)
        await nothing_in(request)
        return await self._set(request, app_id, ReleaseApp(account_id, app_id, self.clock()))

    async def post_stop(self, request: web.Request) -> web.Response:
        """What is being deployed at the moment is of later, and will run."""
        account_id, app_id = account_and_app(request)
        await nothing_in(request)
        return await self._set(request, app_id, StopApp(account_id, app_id, 0, self.clock()))

    async def _set(self, request: web.Request, app_id: UUID, command: ReleaseApp | StopApp) -> web.Response:
        async with self.log.transaction(APP.stream(app_id), cause=cause_of(request)) as tx:
            columns = (apps.c.current_release, apps.c.current_deployment_id)
            row = (await tx.execute(select(*columns).where(apps.c.agent_app_id == app_id))).one_or_none()
            current = Current(row.current_release or 0, row.current_deployment_id) if row else Current()
            if isinstance(command, StopApp):
                command = StopApp(command.account_id, app_id, current.release, command.at)
            events, after = await tx.decide(APP, app_id, command)
            if events:
                await self.queue.record_app(tx, app_id, after.state)
        if events:
            logger.info("app_set", agent_app_id=str(app_id), events=[event.type for event in events])
        return reply(AppStateReply(agent_app=view_of(app_id, after.state, current)))


def view_of(app_id: UUID, now: AppState, current: Current) -> AppStateView:
    return AppStateView(
        id=app_id,
        current_deployment_id=current.deployment_id,
        pinned=now.pinned_to is not None,
        stopped=current.release <= now.stopped_release if current.release else False,
    )
