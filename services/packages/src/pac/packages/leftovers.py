"""Objects that nobody refers to yet: noted before their first byte, taken off by the transaction that refers to them.

So whatever ends a request — a refusal, a crash, a commit of unknown outcome — what is still noted after a while may go.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.eventlog import EventLog, unavailable
from pac.eventlog.crashpoints import reach
from pac.packages.tables import leftovers
from pac.servicekit.clock import Clock
from pac.servicekit.objects import Objects

SWEEP_LIMIT = 500


async def note_in(connection: AsyncConnection, key: str, at: datetime) -> None:
    await connection.execute(insert(leftovers).values(key=key, noted_at=at).on_conflict_do_nothing())


class Swept(OSError):  # noqa: N818 - says what happened
    """So much time has passed since the object was noted that it has been taken for a leftover."""


async def refer_in(connection: AsyncConnection, *keys: str | None) -> None:
    """Takes objects off the list, in the transaction that refers to them. Swept if one has gone meanwhile."""
    wanted = [key for key in keys if key]
    found = await connection.execute(delete(leftovers).where(leftovers.c.key.in_(wanted)))
    if found.rowcount != len(wanted):
        raise Swept("what was staged is no longer there")


@dataclass(frozen=True)
class Leftovers:
    log: EventLog
    objects: Objects
    clock: Clock

    async def note(self, key: str) -> None:
        async with self.log.reading() as connection:
            await note_in(connection, key, self.clock())

    async def remove(self, key: str) -> None:
        """The object first: a note without an object is harmless, the opposite is not."""
        reach("unstaging.before_delete")
        await self.objects.delete(key)
        reach("unstaging.after_delete")
        async with self.log.reading() as connection:
            await connection.execute(delete(leftovers).where(leftovers.c.key == key))

    async def sweep(self, key: str, age: timedelta) -> bool:
        """Removes the object, however far it has come, if it is still noted.

        The note is locked meanwhile: nobody can come to refer to it.
        """
        noted = (leftovers.c.key == key) & (leftovers.c.noted_at < self.clock() - age)
        with unavailable("the log"):
            async with self.log.engine.begin() as connection:
                if not (await connection.execute(delete(leftovers).where(noted))).rowcount:
                    return False
                await self.objects.abandon(key)
        return True

    async def older_than(self, age: timedelta) -> list[str]:
        statement = (
            select(leftovers.c.key)
            .where(leftovers.c.noted_at < self.clock() - age)
            .order_by(leftovers.c.noted_at)
            .limit(SWEEP_LIMIT)
        )
        async with self.log.reading() as connection:
            return list((await connection.execute(statement)).scalars())


def remove_file(path: Path) -> None:
    """At once, not in a thread: it must also happen while we are being cancelled."""
    path.unlink(missing_ok=True)
