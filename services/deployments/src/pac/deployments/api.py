"""What the hub answers: one deployment, never stale, and the public figures of the queue, at most a second old."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from aiohttp import web

from pac.contracts.api import DeploymentReply
from pac.contracts.bodies.deployments import Metrics, QueueHealth, Stats, StatsReply
from pac.contracts.deployments import DeploymentEvent
from pac.contracts.errors import ErrorCode, Refused
from pac.deployments.domain import Command, Deployment
from pac.deployments.queries import Figures, Queries, Thresholds, health_of
from pac.deployments.views import is_queued, queue_view, view_of
from pac.eventlog import Decider, EventLog
from pac.servicekit.clock import Clock
from pac.servicekit.http import caller_of, reply, uuid_in


def stats_reply(figures: Figures, limits: Thresholds) -> StatsReply:
    status, message = health_of(figures, limits)
    return StatsReply(
        stats=Stats(
            queued=figures.queued,
            processing=figures.processing,
            completed=figures.completed,
            failed=figures.failed,
            total=figures.queued + figures.processing + figures.completed + figures.failed,
        ),
        health=QueueHealth(status=status, message=message),
        metrics=Metrics(
            avg_processing_time_seconds=round(figures.average_seconds),
            last_updated=figures.at.replace(microsecond=0),
            estimated_duration_seconds=figures.estimated_seconds,
        ),
    )


@dataclass
class StatsCache:
    """One reading for all who ask within a second: the path is public."""

    queries: Queries
    clock: Clock
    seconds: float = 1.0
    monotonic: Callable[[], float] = time.monotonic
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    _kept: StatsReply | None = None
    _read_at: float = 0.0

    async def get(self) -> StatsReply:
        async with self._lock:
            now = self.monotonic()
            if self._kept is None or now - self._read_at >= self.seconds:
                self._kept = stats_reply(await self.queries.figures(self.clock()), self.queries.limits)
                self._read_at = now
            return self._kept


@dataclass(frozen=True)
class Api:
    log: EventLog
    decider: Decider[Deployment, Command, DeploymentEvent]
    queries: Queries
    stats: StatsCache

    async def get_deployment(self, request: web.Request) -> web.Response:
        """An unknown id and another account's are the same 404."""
        caller = caller_of(request)
        recorded = await self.log.load(self.decider, uuid_in(request, "deployment_id"))
        now = recorded.state
        if now.queued is None or now.queued.account_id != caller.account_id:
            raise Refused(ErrorCode.NOT_FOUND, "Deployment not found")
        queue = None
        if is_queued(now):
            queue = queue_view(now, *await self.queries.place(now.queued.deployment_id))
        return reply(DeploymentReply(deployment=view_of(now, queue)), version=recorded.version)

    async def get_queue_stats(self, request: web.Request) -> web.Response:  # noqa: ARG002 - the same for everybody
        return reply(await self.stats.get())
