"""Runs the jobs of a queue: a bounded number at once, each under a lease that is renewed while its handler runs."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import structlog

from pac.contracts.base import one_line
from pac.eventlog.crashpoints import reach
from pac.eventlog.jobs import Job, Jobs
from pac.eventlog.leases import StaleLease
from pac.eventlog.metrics import JOBS_TAKEN
from pac.eventlog.tracing import named_in_logs
from pac.eventlog.types import LogUnavailable

logger = structlog.get_logger(__name__)

POLL_SECONDS = 1.0  # only for what other processes put and have no hand free for
LOOK_AGAIN_SECONDS = 0.01  # a due job may be locked by a transaction that is about to end it
OUTAGE_SECONDS = 0.5
FIRST_BACKOFF_SECONDS = 0.5
LONGEST_BACKOFF_SECONDS = 60.0
GIVE_BACK_TIMEOUT_SECONDS = 1.0


class Worker:
    """`handle` ends by `job.done(tx)` or `job.again(…)`. An OSError is an outage: again after a pause that grows.

    Any other exception is logged and the job comes again after a longer pause; it is never lost. A handler whose lease
    is gone is cancelled. What is logged meanwhile names the deployment that a job's payload names, and its trace.
    """

    def __init__(
        self, jobs: Jobs, handle: Callable[[Job], Awaitable[None]], *, parallel: int = 4, lease_seconds: float = 30.0
    ) -> None:
        self.name = f"worker-{jobs.queue}"
        self._jobs = jobs
        self._handle = handle
        self._parallel = parallel
        self._lease_seconds = lease_seconds
        self._running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while True:
                await self._take()
                await self._something_to_do()
        finally:
            for task in self._running:
                task.cancel()
            await asyncio.gather(*self._running, return_exceptions=True)

    async def _take(self) -> None:
        self._jobs.wanted.clear()
        free = self._parallel - len(self._running)
        if free == 0:
            return
        try:
            taken = await self._jobs.take(free, self._lease_seconds)
        except LogUnavailable as outage:
            logger.warning("worker_waits_for_postgres", queue=self._jobs.queue, reason=str(outage))
            await asyncio.sleep(OUTAGE_SECONDS)
            return
        for job in taken:
            JOBS_TAKEN.labels(self._jobs.queue).inc()
            task = asyncio.create_task(self._run(job), name=f"{self.name}:{job.key}")
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        self._jobs.wanted.set()  # a hand is free

    async def _something_to_do(self) -> None:
        """Returns when a job was put here, a hand is free, or a job's time has come."""
        seconds = POLL_SECONDS
        if len(self._running) < self._parallel:
            with contextlib.suppress(LogUnavailable):
                due = await self._jobs.seconds_to_next()
                seconds = POLL_SECONDS if due is None else min(max(due, LOOK_AGAIN_SECONDS), POLL_SECONDS)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._jobs.wanted.wait()

    async def _run(self, job: Job) -> None:
        with _named(job):
            await self._try(job)

    async def _try(self, job: Job) -> None:
        told = {"queue": self._jobs.queue, "key": job.key, "attempts": job.attempts}
        backoff = min(FIRST_BACKOFF_SECONDS * 2 ** min(job.attempts - 1, 20), LONGEST_BACKOFF_SECONDS)
        try:
            await self._while_held(job)
            await job.failed(backoff, "the handler neither finished nor postponed it")
        except StaleLease:
            return  # done, postponed, cancelled or taken by another: in every case it is not ours any more
        except asyncio.CancelledError:
            with contextlib.suppress(StaleLease, OSError):
                async with asyncio.timeout(GIVE_BACK_TIMEOUT_SECONDS):
                    await job.again(0)
            raise
        except OSError as outage:
            logger.warning("job_waits", **told, reason=one_line(repr(outage)), seconds=backoff)
            await self._put_back(job, backoff, outage)
        except Exception as error:
            logger.exception("job_failed", **told, seconds=backoff)
            await self._put_back(job, backoff, error)
        else:
            logger.error("job_left_open", **told, seconds=backoff)

    async def _put_back(self, job: Job, backoff: float, error: Exception) -> None:
        """If Postgres is away too, the lease runs out by itself."""
        with contextlib.suppress(StaleLease, LogUnavailable):
            await job.failed(backoff, type(error).__name__)

    async def _while_held(self, job: Job) -> None:
        reach("job.taken")
        handling = asyncio.ensure_future(self._handle(job))
        renewing = asyncio.create_task(self._keep(job))
        try:
            await asyncio.wait({handling, renewing}, return_when=asyncio.FIRST_COMPLETED)
            first = handling if handling.done() else renewing
        finally:
            for task in (handling, renewing):
                task.cancel()
            await asyncio.gather(handling, renewing, return_exceptions=True)
        await first

    async def _keep(self, job: Job) -> None:
        """Renews until the lease is lost: then raises StaleLease."""
        loop = asyncio.get_running_loop()
        good_until = loop.time() + self._lease_seconds
        while loop.time() < good_until:
            await asyncio.sleep(self._lease_seconds / 4)
            asked_at = loop.time()
            with contextlib.suppress(LogUnavailable):
                await job.renew(self._lease_seconds)
                good_until = asked_at + self._lease_seconds
        raise StaleLease(job.key)


def _named(job: Job) -> contextlib.AbstractContextManager[None]:
    """A job about no deployment, or about many, belongs to no one trace."""
    deployment_id = job.payload.get("deployment_id")
    if not isinstance(deployment_id, str):
        return contextlib.nullcontext()
    return named_in_logs(deployment_id, job.cause.traceparent)
