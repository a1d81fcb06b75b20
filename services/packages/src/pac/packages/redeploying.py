"""A change of an app's secrets as a new release: what runs is deployed once more, where the app's policy asks for that.

Only when nothing else of the app is open: what is on its way would else be followed by the release that it replaces. So
changes in quick succession make one deployment, or one more once that has ended. It costs nothing, as a rollback does.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog

from pac.contracts.base import Source
from pac.contracts.errors import Refused
from pac.contracts.packages import PackageSubmitted
from pac.eventlog import Cause, EventLog, Job
from pac.packages.again import Again, Wish
from pac.packages.domain.again import check_stored
from pac.packages.domain.submission import SUBMISSION
from pac.packages.orders import cause_read
from pac.packages.shelf import Shelf, app_lock

logger = structlog.get_logger(__name__)
QUEUE = "redeploys"


@dataclass(frozen=True)
class Redeploying:
    log: EventLog
    again: Again
    look_seconds: float = 1.0  # between looks whether what is open has ended

    async def handle(self, job: Job) -> None:
        app_id, cause = UUID(str(job.payload["app_id"])), cause_read(job.payload)
        if (running := await self._running(app_id)) is None:
            async with self.log.transaction(cause=cause) as tx:
                await job.done(tx)
            return
        submitted = (await self.log.history(SUBMISSION.stream(running)))[0].event
        assert isinstance(submitted, PackageSubmitted)
        try:
            done = await self._deployed(job, submitted, cause)
        except Refused as refused:  # deleted meanwhile, or not signed as the app demands by now
            logger.warning("redeploy_refused", app_id=str(app_id), code=refused.code)
            async with self.log.transaction(cause=cause) as tx:
                await job.done(tx)
            return
        if not done:
            await job.again(self.look_seconds)

    async def _running(self, app_id: UUID) -> UUID | None:
        """The deployment of the current release, unless it is stopped or there is none."""
        async with self.log.reading() as connection:
            app = await Shelf(connection, app_id).app()
        if app is None or app.deleted or app.current_release <= app.stopped_release:
            return None
        running: UUID | None = app.current_deployment_id
        return running

    async def _deployed(self, job: Job, running: PackageSubmitted, cause: Cause) -> bool:
        """False while something of the app is open, or something else has become current."""
        wish = Wish(uuid4(), Source.STORED, self.again.clock(), running.environment, billable=False)
        stream, app_id = SUBMISSION.stream(wish.deployment_id), running.agent_app_id
        async with self.log.transaction(stream, cause=cause, locks=[app_lock(app_id)]) as tx:
            shelf = Shelf(tx.connection, app_id)
            app, row = await shelf.app(), await shelf.package(running.package_id)
            assert app is not None
            assert row is not None
            if app.current_deployment_id != running.deployment_id or await shelf.open_deployments(1):
                return False
            check_stored(await shelf.holder(running.package_id))
            await self.again.submitted(tx, shelf, row, wish)
            await job.done(tx)
        return True
