"""The clock's part: late steps, next attempts, waits that were too long, answers asked for again."""

import asyncio
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog
from sqlalchemy import select

from pac.contracts.deployments import DeploymentEvent
from pac.deployments.domain import CheckDeadline, Command, Deployment
from pac.deployments.queue import Queue
from pac.deployments.slots import ACTOR
from pac.deployments.tables import queue
from pac.eventlog import Cause, Decider, EventLog
from pac.eventlog.tracing import named_in_logs
from pac.servicekit.clock import Clock

logger = structlog.get_logger(__name__)
BATCH = 200


class Hearing(Protocol):
    """Whether this service's consumers are at the end of their topics."""

    def caught_up(self) -> bool: ...


@dataclass(frozen=True)
class Sweeper:
    """Stateless: what is due stands in `state.queue`, and the decider looks again before anything happens."""

    log: EventLog
    decider: Decider[Deployment, Command, DeploymentEvent]
    queue: Queue
    hearing: Hearing
    clock: Clock
    every_seconds: float = 1.0
    backlog_limit_seconds: float = 5.0
    name: str = "sweeper"

    async def run(self) -> None:
        waited_for = None
        while True:
            waits_for = await self.waits_for()
            if waits_for is None:
                await self.sweep()
            elif waits_for != waited_for:  # said once, not at every look
                logger.info("sweeper_waits", waits_for=waits_for)
            waited_for = waits_for
            await asyncio.sleep(self.every_seconds)

    async def waits_for(self) -> str | None:
        """The hub's own outage is nobody's failure: answers may lie unheard, or orders unsent."""
        if not self.hearing.caught_up():
            return "consumers"
        return "relay" if await self.log.relay_backlog_seconds() >= self.backlog_limit_seconds else None

    async def sweep(self) -> int:
        """How many were due."""
        statement = (
            select(queue.c.deployment_id, queue.c.correlation_id, queue.c.traceparent)
            .where(queue.c.due_at <= self.clock())
            .order_by(queue.c.due_at)
            .limit(BATCH)
        )
        async with self.log.reading() as connection:
            due = (await connection.execute(statement)).all()
        for deployment_id, correlation_id, traceparent in due:
            with named_in_logs(deployment_id, traceparent):
                try:
                    await self._check(deployment_id, Cause(ACTOR, correlation_id, traceparent=traceparent))
                except OSError:
                    raise
                except Exception:  # one that is broken must not keep the clock from all others
                    logger.exception("deadline_missed")
        return len(due)

    async def _check(self, deployment_id: UUID, cause: Cause) -> None:
        command = CheckDeadline(deployment_id, self.clock())
        moved = await self.log.execute(self.decider, deployment_id, command, cause=cause, then=self.queue.record)
        logger.info("deadline_met", deployment_id=str(deployment_id), status=moved.state.status)
