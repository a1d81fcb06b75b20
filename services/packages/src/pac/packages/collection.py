"""Removes bytes that nobody needs any more (unused.py), each content address under its lock (contents.py).

First it is written down that an object goes, then it goes, then the line is taken off. A crash in between leaves the
line: the next round goes on from there, once the lease on it has ended.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import structlog
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.eventlog import EventLog
from pac.eventlog.crashpoints import reach
from pac.packages.contents import by_itself, object_lock
from pac.packages.leftovers import note_in
from pac.packages.shelf import app_lock
from pac.packages.tables import collecting, packages, promotions, submissions
from pac.packages.unused import ended, packages_of
from pac.servicekit.clock import Clock
from pac.servicekit.objects import Objects

logger = structlog.get_logger(__name__)
LEASE_SECONDS = 600.0  # far beyond what the store may take to answer: nobody else removes the object meanwhile
PERMIT_SECONDS = 300  # what is left of the lease is room for clocks that differ
LEASED = "leased_until = clock_timestamp() + :lease * interval '1 second'"
BEGIN = text("""
INSERT INTO state.collecting (key, holder, leased_until)
VALUES (:key, :holder, clock_timestamp() + :lease * interval '1 second') ON CONFLICT DO NOTHING
""")
TAKE_OVER = text(f"""
UPDATE state.collecting SET holder = :holder, {LEASED}
 WHERE key = ANY (SELECT key FROM state.collecting WHERE leased_until < clock_timestamp() FOR UPDATE SKIP LOCKED)
RETURNING key
""")  # noqa: S608 - a text above
RENEW = text(f"UPDATE state.collecting SET {LEASED} WHERE key = :key AND holder = :holder")  # noqa: S608 - the same


@dataclass(frozen=True)
class Collection:
    """`grace`: how long bytes are kept after nobody needs them. `age`: a promotion that is older was cut off."""

    log: EventLog
    objects: Objects
    clock: Clock
    grace: timedelta
    age: timedelta
    lock: Callable[[str], str] = object_lock

    async def once(self) -> int:
        """One round; gives how many objects at content addresses have gone."""
        holder = uuid4()
        going = await self._cut_off(holder)
        for key, app_ids in (await self._candidates()).items():
            if await self.decide(key, app_ids, holder):
                going.append(key)
        return sum([await self.remove(key, holder) for key in going])

    async def decide(self, key: str, app_ids: AbstractSet[UUID], holder: UUID) -> bool:
        """Whether the object goes: then that is written down, and leased to us. Its packages are told of their end.

        Of those packages only the ones of `app_ids`, whose locks are taken: a retry may come at the same moment.
        """
        locks = [self.lock(key), *map(app_lock, app_ids)]
        async with self.log.transaction(cause=by_itself(), locks=locks) as tx:
            connection, now = tx.connection, self.clock()
            stale = (promotions.c.key == key) & (promotions.c.noted_at < now - self.age)
            await connection.execute(delete(promotions).where(stale))
            rows = await packages_of(connection, key, now - self.grace)
            ending = [row for row in rows if not row.needed and row.app_id in app_ids]
            for row in ending:
                if row.staging_key is not None:
                    await note_in(connection, row.staging_key, now)
            await _end(connection, [row.package_id for row in ending], now)
            waiting = select(func.count()).select_from(promotions).where(promotions.c.key == key)
            if len(ending) < len(rows) or (await connection.execute(waiting)).scalar_one():
                return False
            asked = {"key": key, "holder": holder, "lease": LEASE_SECONDS}
            return bool((await connection.execute(BEGIN, asked)).rowcount)

    async def _candidates(self) -> dict[str, set[UUID]]:
        """Content addresses to look at, each with the apps whose packages end there."""
        now = self.clock()
        async with self.log.reading() as connection:
            rows = await ended(connection, now - self.grace)
            cut_off = select(promotions.c.key).where(promotions.c.noted_at < now - self.age)
            found: dict[str, set[UUID]] = {key: set() for key in (await connection.execute(cut_off)).scalars()}
        for row in rows:
            found.setdefault(row.object_key, set()).add(row.app_id)
        return found

    async def _cut_off(self, holder: UUID) -> list[str]:
        """Objects that somebody was removing when a crash came, or an outage of the store."""
        async with self.log.reading() as connection:
            found = await connection.execute(TAKE_OVER, {"holder": holder, "lease": LEASE_SECONDS})
            return list(found.scalars())

    async def remove(self, key: str, holder: UUID) -> bool:
        """False if it is no longer ours to do. If the store does not answer the line stays, for a later round."""
        if (permit := await self.permitted(key, holder)) is None:
            return False
        reach("collection.before_delete")
        await self.objects.delete_permitted(key, permit)
        reach("collection.after_delete")
        async with self.log.transaction(cause=by_itself(), locks=[self.lock(key)]) as tx:
            await tx.execute(delete(collecting).where((collecting.c.key == key) & (collecting.c.holder == holder)))
        logger.info("object_collected", key=key)
        return True

    async def permitted(self, key: str, holder: UUID) -> str | None:
        """Signed before the lease is renewed, so that it is over before the lease is, wherever we are held up."""
        permit = await self.objects.permit_to_delete(key, PERMIT_SECONDS)
        async with self.log.reading() as connection:
            asked = {"key": key, "holder": holder, "lease": LEASE_SECONDS}
            return permit if (await connection.execute(RENEW, asked)).rowcount else None


async def _end(connection: AsyncConnection, package_ids: list[UUID], now: datetime) -> None:
    """The packages will not be deployed again, and with them end the environments that were sealed for that."""
    ending = update(packages).where(packages.c.package_id.in_(package_ids))
    await connection.execute(ending.values(collected_at=now, staging_key=None))
    theirs = submissions.c.package_id.in_(package_ids) & submissions.c.sealed_key.is_not(None)
    sealed = (await connection.execute(select(submissions.c.sealed_key).where(theirs).distinct())).scalars().all()
    for key in sealed:
        await note_in(connection, key, now)
    await connection.execute(update(submissions).where(theirs).values(sealed_key=None))
