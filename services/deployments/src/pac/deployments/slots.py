"""Who starts next: one deployment at a time per app, a limit per account and overall, accounts in turn."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.deployments import DeploymentEvent
from pac.deployments.domain import Command, Deployment, OvertakeDeployment, StartDeployment
from pac.deployments.queue import Queue
from pac.eventlog import Cause, Decider, EventLog
from pac.eventlog.tracing import named_in_logs
from pac.servicekit.clock import Clock

logger = structlog.get_logger(__name__)

ACTOR = "deployments"
SLOTS_LOCK = "slots"

# Fewest running first, then who has waited longest for a turn: however much an account has queued, another's first one
# waits for one slot at most. Within an app the lowest submission number; one that was overtaken never starts.
CHOOSE = text("""
WITH busy AS MATERIALIZED (
    SELECT account_id, agent_app_id FROM state.queue WHERE status IN ('processing', 'finalizing')
), running AS (
    SELECT account_id, count(*) AS slots FROM busy GROUP BY account_id
), first AS (
    SELECT DISTINCT ON (q.agent_app_id) q.deployment_id, q.account_id, q.agent_app_id, q.queued_at,
        q.correlation_id, q.traceparent
    FROM state.queue AS q LEFT JOIN state.apps AS a USING (agent_app_id)
    WHERE q.status = 'held' AND q.no >= coalesce(a.current_no, q.no) AND q.deployment_id <> ALL (:skipped)
        AND NOT EXISTS (SELECT FROM busy WHERE busy.agent_app_id = q.agent_app_id)
    ORDER BY q.agent_app_id, q.no
)
SELECT first.deployment_id, first.agent_app_id, first.correlation_id, first.traceparent
FROM first LEFT JOIN running USING (account_id) LEFT JOIN state.turns USING (account_id)
WHERE coalesce(running.slots, 0) < :per_account AND (SELECT count(*) FROM busy) < :overall
ORDER BY coalesce(running.slots, 0), turns.served_at NULLS FIRST, first.queued_at, first.deployment_id
LIMIT 1
""")

OVERTAKEN = text("""
SELECT q.deployment_id, q.agent_app_id, q.correlation_id, q.traceparent
FROM state.queue AS q JOIN state.apps AS a USING (agent_app_id)
WHERE q.status = 'held' AND q.no < a.current_no
LIMIT 100
""")


class NotHeldError(RuntimeError):
    """Queue and log disagree: a fault of ours."""


@dataclass(frozen=True)
class Limits:
    per_account: int = 4
    overall: int = 64


@dataclass(frozen=True)
class Waiting:
    deployment_id: UUID
    agent_app_id: UUID
    correlation_id: UUID
    traceparent: str | None

    @property
    def cause(self) -> Cause:
        return Cause(ACTOR, self.correlation_id, traceparent=self.traceparent)


@dataclass(frozen=True)
class Dispatcher:
    """Keeps nothing: any replica may do it, the lock of the slots lets one choose at a time."""

    log: EventLog
    decider: Decider[Deployment, Command, DeploymentEvent]
    queue: Queue
    limits: Limits
    clock: Clock
    poll_seconds: float = 0.5
    name: str = "dispatcher"

    async def run(self) -> None:
        """Looks at every commit, but rests three times as long as it looked: a long queue must not cost a processor."""
        while True:
            woken, began = self.log.woken(), time.monotonic()
            await self.dispatch()
            await asyncio.sleep(min(3 * (time.monotonic() - began), self.poll_seconds))
            await woken.wait(self.poll_seconds)

    async def dispatch(self) -> None:
        """Until no slot or no candidate is left."""
        for overtaken in await self._overtaken():
            with named_in_logs(overtaken.deployment_id, overtaken.cause.traceparent):
                try:
                    await self.overtake(overtaken)
                except OSError:
                    raise
                except Exception:  # as below
                    logger.exception("deployment_not_overtaken")
        skipped: list[UUID] = []
        while (chosen := await self.look(skipped)) is not None:
            with named_in_logs(chosen.deployment_id, chosen.cause.traceparent):
                try:
                    await self.give_slot(chosen, skipped)
                except OSError:
                    raise
                except Exception:  # one that cannot be started must not hold up all others
                    logger.exception("deployment_not_started")
                    skipped.append(chosen.deployment_id)

    async def overtake(self, overtaken: Waiting) -> None:
        deployment_id = overtaken.deployment_id
        command = OvertakeDeployment(deployment_id, self.clock())
        await self.log.execute(self.decider, deployment_id, command, cause=overtaken.cause, then=self.queue.record)
        logger.info("deployment_overtaken", deployment_id=str(deployment_id))

    async def look(self, skipped: Sequence[UUID] = ()) -> Waiting | None:
        async with self.log.reading() as connection:
            return await self.choose(connection, skipped)

    async def give_slot(self, chosen: Waiting, skipped: Sequence[UUID] = ()) -> bool:
        """Whether it was given: under the lock somebody else may turn out to have been faster."""
        stream = self.decider.stream(chosen.deployment_id)
        async with self.log.transaction(stream, cause=chosen.cause, locks=(SLOTS_LOCK,)) as tx:
            if await self.choose(tx.connection, skipped) != chosen:
                return False
            before = await tx.load(self.decider, chosen.deployment_id)
            release, pinned = await self.queue.next_release(tx, chosen.agent_app_id)
            command = StartDeployment(chosen.deployment_id, release, self.clock(), pinned)
            events, after = await tx.decide(self.decider, chosen.deployment_id, command)
            if not events:
                raise NotHeldError(f"the queue says held, the log says {before.state.status}")
            await self.queue.record(tx, before.state, events, after.state)
        logger.info("deployment_started", deployment_id=str(chosen.deployment_id), release=release)
        return True

    async def choose(self, connection: AsyncConnection, skipped: Sequence[UUID] = ()) -> Waiting | None:
        limits = {"per_account": self.limits.per_account, "overall": self.limits.overall}
        found = (await connection.execute(CHOOSE, limits | {"skipped": list(skipped)})).one_or_none()
        return None if found is None else Waiting(*found)

    async def _overtaken(self) -> Sequence[Waiting]:
        async with self.log.reading() as connection:
            return [Waiting(*row) for row in await connection.execute(OVERTAKEN)]
