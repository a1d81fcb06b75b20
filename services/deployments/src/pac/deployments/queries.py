"""What is read for the API beside a deployment's own stream: its place in the queue, and the queue's figures."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.bodies.deployments import Level
from pac.eventlog import EventLog

HISTORY_MIN = 5
DEFAULT_SECONDS = 120

PLACE = text("""
SELECT
    (SELECT count(*) FROM state.queue AS other
     WHERE other.account_id = mine.account_id AND other.status IN ('undecided', 'held')
        AND (other.queued_at, other.deployment_id) < (mine.queued_at, mine.deployment_id)) AS ahead,
    (SELECT count(*) FROM state.queue AS other
     WHERE other.account_id = mine.account_id AND other.status IN ('processing', 'finalizing')) AS running,
    EXISTS (SELECT FROM state.queue AS other WHERE other.agent_app_id = mine.agent_app_id
        AND other.status IN ('processing', 'finalizing')) AS app_busy
FROM state.queue AS mine WHERE mine.deployment_id = :deployment_id AND mine.status IN ('undecided', 'held')
""")

HISTORY = text("""
SELECT count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_seconds),
    percentile_cont(0.9) WITHIN GROUP (ORDER BY duration_seconds)
FROM (
    SELECT duration_seconds FROM read.deployments WHERE status = 'completed' ORDER BY completed_at DESC LIMIT 100
) AS lately
""")

IN_STATES = text("SELECT count(*) FROM state.queue WHERE status = ANY (:states)")

COUNTS = text("SELECT status, deployments FROM read.counts")

COUNTED = text("SELECT coalesce(sum(deployments), 0) FROM read.counts WHERE status = :status")

FINISHED = text("""
SELECT coalesce(sum(completed), 0), coalesce(sum(failed), 0), coalesce(sum(seconds), 0)
FROM read.minutes WHERE minute > :since
""")

STUCK = text("""
SELECT count(*) FROM state.queue
WHERE (status IN ('processing', 'finalizing', 'aborting') AND due_at < :late)
   OR (status IN ('finalizing', 'aborting') AND attempt > :asked)
""")


@dataclass(frozen=True)
class History:
    """Of the last hundred that completed, from start to end; None until there are five."""

    p50_seconds: float | None = None
    p90_seconds: float | None = None


@dataclass(frozen=True)
class Place:
    """`position` counts the queued ones of the same account, oldest first, from 1: accounts do not wait in line for
    each other. The time left is that of the rounds of `parallel` until its own has ended, each as long as in history.
    """

    position: int
    rounds: int

    def eta(self, seconds: float | None) -> int | None:
        return None if seconds is None else math.ceil(self.rounds * seconds)


@dataclass(frozen=True)
class Figures:
    queued: int
    processing: int
    completed: int
    failed: int
    average_seconds: float
    hour_finished: int
    hour_failed: int
    stuck: int
    behind_seconds: float
    estimated_seconds: int
    at: datetime


@dataclass(frozen=True)
class Thresholds:
    """Above which the queue is not healthy."""

    queued: int = 100
    failure_rate: float = 0.10
    failure_rate_finished_min: int = 20
    behind_seconds: float = 30.0
    late_seconds: float = 10.0  # a deadline is met by the sweeper's next round, not at the instant
    asked: int = 3  # how often credits or package may be asked for before it is stuck


def health_of(figures: Figures, limits: Thresholds) -> tuple[Level, str]:
    if figures.stuck:
        which = "deployment is" if figures.stuck == 1 else "deployments are"
        return "critical", f"{figures.stuck} {which} stuck in processing past the deadline"
    if figures.behind_seconds > limits.behind_seconds:
        return "critical", f"Queue statistics are {figures.behind_seconds:.0f} s behind"
    if figures.queued > limits.queued:
        return "warning", f"High queue depth: {figures.queued} deployments are queued, more than {limits.queued}"
    if figures.hour_finished >= limits.failure_rate_finished_min:
        rate = figures.hour_failed / figures.hour_finished
        if rate > limits.failure_rate:
            return "warning", (
                f"High failure rate: {figures.hour_failed} of {figures.hour_finished} deployments "
                f"({rate:.0%}) failed in the last hour"
            )
    return "healthy", "Queue is operating normally"


@dataclass(frozen=True)
class Queries:
    log: EventLog
    limits: Thresholds
    parallel_per_account: int
    reader: str  # whose checkpoint the figures are read at

    async def place(self, deployment_id: UUID) -> tuple[Place | None, History]:
        async with self.log.reading() as connection:
            found = (await connection.execute(PLACE, {"deployment_id": deployment_id})).one_or_none()
            history = await self.history(connection)
        return None if found is None else self.place_of(*found), history

    def place_of(self, ahead: int, running: int, app_busy: bool) -> Place:  # noqa: FBT001 - a row's columns
        waits = app_busy or running >= self.parallel_per_account
        return Place(ahead + 1, ahead // self.parallel_per_account + 1 + int(waits))

    async def figures(self, at: datetime) -> Figures:
        async with self.log.reading() as connection:
            counted = {row.status: row.deployments for row in await connection.execute(COUNTS)}
            hour = (await connection.execute(FINISHED, {"since": at - timedelta(hours=1)})).one()
            recent = (await connection.execute(FINISHED, {"since": at - timedelta(days=1)})).one()
            if not recent[0]:
                recent = (await connection.execute(FINISHED, {"since": datetime.min.replace(tzinfo=at.tzinfo)})).one()
            history = await self.history(connection)
        return Figures(
            queued=counted.get("queued", 0),
            processing=counted.get("processing", 0),
            completed=counted.get("completed", 0),
            failed=counted.get("failed", 0),
            average_seconds=float(recent[2]) / int(recent[0]) if recent[0] else 0.0,
            hour_finished=int(hour[0]) + int(hour[1]),
            hour_failed=int(hour[1]),
            stuck=await self.stuck(at),
            behind_seconds=await self.log.backlog_seconds(self.reader),
            estimated_seconds=DEFAULT_SECONDS if history.p50_seconds is None else math.ceil(history.p50_seconds),
            at=at,
        )

    async def stuck(self, at: datetime) -> int:
        late = at - timedelta(seconds=self.limits.late_seconds)
        return await self._number(STUCK, {"late": late, "asked": self.limits.asked})

    async def counted(self, status: str) -> int:
        """How many the public figures count under a status."""
        return await self._number(COUNTED, {"status": status})

    async def waiting(self) -> int:
        return await self._number(IN_STATES, {"states": ["undecided", "held"]})

    async def with_slot(self) -> int:
        return await self._number(IN_STATES, {"states": ["processing", "finalizing"]})

    async def _number(self, statement: TextClause, parameters: dict[str, Any]) -> int:
        async with self.log.reading() as connection:
            return int((await connection.execute(statement, parameters)).scalar_one())

    async def history(self, connection: AsyncConnection) -> History:
        number, p50, p90 = (await connection.execute(HISTORY)).one()
        return History(p50, p90) if number >= HISTORY_MIN else History()
