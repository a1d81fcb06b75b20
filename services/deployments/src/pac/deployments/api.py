"""What the hub answers: deployments, now and as they were; cancel; the public figures, at most a second old."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from aiohttp import hdrs, web

from pac.contracts.api import DeploymentReply, DeploymentView
from pac.contracts.bodies.deployments import DeploymentsReply, Metrics, QueueHealth, Stats, StatsReply
from pac.contracts.deployments import DeploymentEvent
from pac.contracts.errors import ErrorCode, Refused
from pac.deployments.asked import app_in, as_of_in, bad, has_already, status_in
from pac.deployments.domain import CancelDeployment, Command, Deployment
from pac.deployments.history import History
from pac.deployments.listing import Listing, Wanted
from pac.deployments.queries import Figures, Queries, Thresholds, health_of
from pac.deployments.queue import Queue
from pac.deployments.views import is_queued, queue_view, view_of
from pac.eventlog import Decider, EventLog, Recorded, Transaction
from pac.servicekit.clock import Clock
from pac.servicekit.http import caller_of, cause_of, cursor_of, nothing_in, page_in, reply, uuid_in
from pac.servicekit.idempotency import attempt_of


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
    queue: Queue
    history: History
    queries: Queries
    stats: StatsCache
    clock: Clock

    async def get_deployment(self, request: web.Request) -> web.Response:
        """An unknown id and another account's are the same 404."""
        deployment_id = uuid_in(request, "deployment_id")
        recorded = await self.history.owned(caller_of(request).account_id, deployment_id)
        if (as_of := as_of_in(request)) is not None:
            cause = cause_of(request)
            then = await self.history.as_of(recorded, as_of, deployment_id=deployment_id, cause=cause)
            return _shown(request, then, view_of(then.state))
        if not is_queued(recorded.state):
            return _shown(request, recorded, view_of(recorded.state))
        queue = queue_view(
            recorded.state, *await self.queries.place(deployment_id)
        )  # moves without an event of its own
        return reply(DeploymentReply(deployment=view_of(recorded.state, queue)), version=recorded.version)

    async def get_deployments(self, request: web.Request) -> web.Response:
        account_id = caller_of(request).account_id
        if account_id is None:
            raise Refused(ErrorCode.NOT_FOUND, "Account not found")
        page = page_in(request, (str, str))
        wanted = Wanted(account_id, app_in(request), status_in(request), page.limit, _place(page.after))
        listed = await Listing(self.log, self.history, self.queries).page(wanted)
        cursor = cursor_of(listed.last[0].isoformat(), str(listed.last[1])) if listed.last else None
        return reply(DeploymentsReply(deployments=listed.views, next_cursor=cursor))

    async def cancel_deployment(self, request: web.Request) -> web.Response:
        """202 while it can still end without a release, or is ending already; else 409."""
        await nothing_in(request)
        deployment_id = uuid_in(request, "deployment_id")
        cancelled = await self.history.owned(caller_of(request).account_id, deployment_id)
        attempt = attempt_of(request)
        if attempt.outcome is None:  # else an attempt of this same request had cancelled it before it was cut off

            async def keep(
                tx: Transaction, before: Deployment, events: Sequence[DeploymentEvent], after: Deployment
            ) -> None:
                await self.queue.record(tx, before, events, after)
                await attempt.bind(tx.connection, {"cancelled": True})

            command, cause = CancelDeployment(deployment_id, self.clock()), cause_of(request)
            cancelled = await self.log.execute(self.decider, deployment_id, command, cause=cause, then=keep)
        return reply(DeploymentReply(deployment=view_of(cancelled.state)), status=202, version=cancelled.version)

    async def get_queue_stats(self, request: web.Request) -> web.Response:  # noqa: ARG002 - the same for everybody
        return reply(await self.stats.get())


def _shown(request: web.Request, recorded: Recorded[Deployment], view: DeploymentView) -> web.Response:
    """304 for a caller who has this version."""
    if has_already(request, recorded.version):
        return web.Response(status=304, headers={hdrs.ETAG: f'"{recorded.version}"', hdrs.CACHE_CONTROL: "no-store"})
    return reply(DeploymentReply(deployment=view), version=recorded.version)


def _place(values: tuple[str | int, ...]) -> tuple[datetime, UUID] | None:
    if not values:
        return None
    try:
        moment, deployment_id = datetime.fromisoformat(str(values[0])), UUID(str(values[1]))
    except ValueError:
        raise bad("cursor", "not one that this list has given out") from None
    if moment.tzinfo is None:
        raise bad("cursor", "not one that this list has given out")
    return moment, deployment_id
