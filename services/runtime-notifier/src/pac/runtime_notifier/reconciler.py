"""Looks now and then whether what serves still does; what the runtime has forgotten or stopped is given again.

A runtime that says `failed` restarts its agent itself, or has told why it does not.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog
from sqlalchemy import select

from pac.eventlog import Cause, EventLog
from pac.runtime_notifier import running
from pac.runtime_notifier.fleet import Fleet, lock_of
from pac.runtime_notifier.runtime import Health, Runtime, Unclear, Unknown
from pac.runtime_notifier.tables import APPS

logger = structlog.get_logger(__name__)
ACTOR = "runtime-notifier"


def is_gone(health: Health | Unknown | Unclear) -> bool:
    """Stopped without our wish: one that was aborted took its place, and was stopped before we saw it healthy."""
    return isinstance(health, Unknown) or (isinstance(health, Health) and health.status == "stopped")


@dataclass(frozen=True)
class Reconciler:
    """A reader: replicas may each run one, since what they find is decided under the app's lock."""

    log: EventLog
    fleet: Fleet
    runtime: Runtime
    interval_seconds: float
    parallel: int = 8
    name: str = "reconciler"

    async def run(self) -> None:
        while True:
            await self.round()
            await asyncio.sleep(self.interval_seconds)

    async def round(self) -> None:
        async with self.log.reading() as connection:
            columns = APPS.c
            rows = await connection.execute(
                select(columns.app_id, columns.serving).where(
                    columns.serving.is_not(None) | columns.current.is_not(None)
                )
            )
            apps = [(row.app_id, row.serving) for row in rows]
        turns = asyncio.Semaphore(self.parallel)
        async with asyncio.TaskGroup() as tasks:
            for app_id, serving in apps:
                tasks.create_task(self._look(turns, app_id, serving))

    async def _look(self, turns: asyncio.Semaphore, app_id: UUID, serving: str | None) -> None:
        async with turns:
            if serving is None:
                await self._compare(app_id)
            elif is_gone(await self.runtime.health(serving)):
                logger.warning("runtime_forgot", agent_app_id=str(app_id), wire_id=serving)
                await self._compare(app_id, lost=serving)

    async def _compare(self, app_id: UUID, *, lost: str | None = None) -> None:
        cause = Cause(ACTOR, uuid4())
        async with self.log.transaction(cause=cause, locks=lock_of(app_id)) as tx:
            before = await self.fleet.load(tx, app_id)
            if lost is None:
                after = running.compared(before)
            elif before.serving == lost:
                after = running.was_lost(before, lost)
            else:
                return  # something else serves by now
            await self.fleet.save(tx, app_id, before, after, cause=cause)
