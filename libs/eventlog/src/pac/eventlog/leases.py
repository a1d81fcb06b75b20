"""One runner per database for what must not run twice: a lease in the database's time, with a fencing token.

The token rises with every holder. Whoever writes on the strength of a lease names the token in the same transaction
(`hold`), so one that was stopped for a while and wakes up late changes nothing.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.eventlog.engine import driver_of
from pac.eventlog.log import EventLog
from pac.eventlog.types import LogUnavailable

logger = structlog.get_logger(__name__)

ACQUIRE = """
INSERT INTO log.leases AS held (name, holder, token, expires_at)
VALUES (%(name)s, %(holder)s, 1, clock_timestamp() + %(seconds)s * interval '1 second')
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, token = held.token + 1, expires_at = excluded.expires_at
WHERE held.expires_at < clock_timestamp() RETURNING token
"""
RENEW = """
UPDATE log.leases SET expires_at = clock_timestamp() + %s * interval '1 second'
WHERE name = %s AND token = %s AND expires_at > clock_timestamp()
"""
RELEASE = "UPDATE log.leases SET expires_at = '-infinity' WHERE name = %s AND token = %s"
HOLD = "SELECT 1 FROM log.leases WHERE name = %s AND token = %s AND expires_at > clock_timestamp() FOR UPDATE"

RELEASE_TIMEOUT_SECONDS = 1.0


class StaleLease(Exception):  # noqa: N818 - says what is the matter; the work belongs to somebody else by now
    """The lease has ended or is another's."""


@dataclass(frozen=True)
class Lease:
    name: str
    token: int


def this_process() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


@dataclass(frozen=True)
class Leases:
    log: EventLog
    seconds: float = 10.0

    async def acquire(self, name: str) -> Lease | None:
        """None while another holds it."""
        async with self.log.reading() as connection:
            driver = await driver_of(connection)
            asked = {"name": name, "holder": this_process(), "seconds": self.seconds}
            found = await (await driver.execute(ACQUIRE, asked)).fetchone()
            return None if found is None else Lease(name, found[0])

    async def renew(self, lease: Lease) -> bool:
        async with self.log.reading() as connection:
            done = await (await driver_of(connection)).execute(RENEW, (self.seconds, lease.name, lease.token))
            return done.rowcount == 1

    async def release(self, lease: Lease) -> None:
        async with self.log.reading() as connection:
            await (await driver_of(connection)).execute(RELEASE, (lease.name, lease.token))

    async def hold(self, tx: AsyncConnection, lease: Lease) -> None:
        """Within a transaction: raises StaleLease unless the lease is ours, and stays so until the transaction ends."""
        done = await (await driver_of(tx)).execute(HOLD, (lease.name, lease.token))
        if done.rowcount != 1:
            raise StaleLease(lease.name)

    async def lead(self, name: str, work: Callable[[Lease], Awaitable[None]]) -> None:
        """For ever: waits for the lease, and runs `work` as long as it is ours; what `work` raises is raised."""
        while True:
            try:
                lease = await self.acquire(name)
            except LogUnavailable:
                lease = None
            if lease is None:
                await asyncio.sleep(self.seconds / 10)
                continue
            logger.info("lease_acquired", name=name, token=lease.token)
            try:
                await self._work_while_held(lease, work)
            except StaleLease:
                logger.warning("lease_lost", name=name, token=lease.token)
            finally:
                with contextlib.suppress(LogUnavailable, TimeoutError):
                    async with asyncio.timeout(RELEASE_TIMEOUT_SECONDS):
                        await self.release(lease)

    async def _work_while_held(self, lease: Lease, work: Callable[[Lease], Awaitable[None]]) -> None:
        working = asyncio.ensure_future(work(lease))
        renewing = asyncio.create_task(self._keep(lease))
        try:
            await asyncio.wait({working, renewing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            ended = next((task for task in (working, renewing) if task.done()), None)
            for task in (working, renewing):
                task.cancel()
            await asyncio.gather(working, renewing, return_exceptions=True)
        if ended is not None:
            await ended

    async def _keep(self, lease: Lease) -> None:
        """Renews until it can't, then raises StaleLease."""
        loop = asyncio.get_running_loop()
        good_until = loop.time() + self.seconds
        while loop.time() < good_until:
            await asyncio.sleep(self.seconds / 4)
            asked_at = loop.time()
            try:
                if not await self.renew(lease):
                    break
            except LogUnavailable:
                continue
            good_until = asked_at + self.seconds
        raise StaleLease(lease.name)
