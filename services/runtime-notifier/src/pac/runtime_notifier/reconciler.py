"""Looks now and then whether what serves still does; what the runtime has forgotten or stopped is given again.

A runtime that says `failed` restarts its agent itself, or has told why it does not.
"""

import asyncio
from dataclasses import dataclass
from uuid import UUID, uuid4

import structlog
from sqlalchemy import func, select

from pac.eventlog import Cause, EventLog
from pac.runtime_notifier import running
from pac.runtime_notifier.fleet import Fleet, lock_of
from pac.runtime_notifier.running import DEFAULT_RUNTIME, Wire, WireStatus
from pac.runtime_notifier.runtime import Health, Unclear, Unknown
from pac.runtime_notifier.runtimes import Runtimes
from pac.runtime_notifier.tables import APPS, WIRES

logger = structlog.get_logger(__name__)
ACTOR = "runtime-notifier"


def is_gone(health: Health | Unknown | Unclear) -> bool:
    """Stopped without our wish: one that was aborted took its place, and was stopped before we saw it healthy."""
    return isinstance(health, Unknown) or (isinstance(health, Health) and health.status == "stopped")


@dataclass(frozen=True)
class Reconciler:
    """A reader: replicas may each run one, since what they find is decided under the app's lock.

    Each runtime has rounds of its own: one that does not answer holds up no other. `parallel` holds for each.
    """

    log: EventLog
    fleet: Fleet
    runtimes: Runtimes
    interval_seconds: float
    parallel: int = 8
    name: str = "reconciler"

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for runtime in (*self.runtimes.by_name, None):
                tasks.create_task(self._rounds(runtime))

    async def _rounds(self, runtime: str | None) -> None:
        """An outage ends a round, and none of the others'."""
        while True:
            try:
                await self.round(runtime)
            except* OSError as away:
                logger.warning("reconciler_waits", runtime=runtime, error=type(away.exceptions[0]).__name__)
            await asyncio.sleep(self.interval_seconds)

    async def round(self, runtime: str | None = DEFAULT_RUNTIME) -> None:
        """Looks at what a runtime serves, and at what of its apps should; None for those that are not set up."""
        turns = asyncio.Semaphore(self.parallel)
        async with asyncio.TaskGroup() as tasks:
            for app_id, serving in await self._apps_of(runtime):
                tasks.create_task(self._look(turns, app_id, serving))

    async def _apps_of(self, runtime: str | None) -> list[tuple[UUID, Wire | None]]:
        apps, wires = APPS.c, WIRES.c
        name = func.coalesce(wires.runtime, apps.runtime)
        chosen = name.not_in(list(self.runtimes.by_name)) if runtime is None else name == runtime
        statement = (
            select(apps.app_id, wires.id, wires.deployment_id, wires.attempt, wires.status, wires.runtime)
            .select_from(APPS.outerjoin(WIRES, wires.id == apps.serving))
            .where(apps.serving.is_not(None) | apps.current.is_not(None), chosen)
        )
        async with self.log.reading() as connection:
            rows = (await connection.execute(statement)).all()
        return [
            (
                row.app_id,
                Wire(row.id, row.deployment_id, row.attempt, WireStatus(row.status), row.runtime) if row.id else None,
            )
            for row in rows
        ]

    async def _look(self, turns: asyncio.Semaphore, app_id: UUID, serving: Wire | None) -> None:
        async with turns:
            if serving is None:
                await self._compare(app_id)
            elif is_gone(await self.runtimes[serving.runtime].health(serving.id)):
                logger.warning("runtime_forgot", agent_app_id=str(app_id), wire_id=serving.id, runtime=serving.runtime)
                await self._compare(app_id, lost=serving.id)

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
