"""Objects at their content address `packages/<account>/<sha256>`: one for all packages of an account with these bytes.

Whoever puts one there says so first (`promotions`), and whoever takes one away (`collecting`), both under the object's
lock, which is never held while the store is asked. So what is being put is not taken, what is being taken is not
relied on, and whatever a crash leaves is still written down.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.eventlog import Cause, EventLog
from pac.eventlog.crashpoints import reach
from pac.packages.leftovers import Swept
from pac.packages.tables import collecting, promotions
from pac.servicekit.clock import Clock
from pac.servicekit.objects import ObjectChanged, ObjectMissing, Objects


def content_key(account_id: UUID, sha256: str) -> str:
    return f"packages/{account_id}/{sha256}"


def object_lock(key: str) -> str:
    return f"object-{key}"


def by_itself() -> Cause:
    """Of what nobody has asked for."""
    return Cause("packages", uuid4())


class BeingCollected(OSError):  # noqa: N818 - says what happens
    """The object is on its way out: try again in a moment, when it is gone."""


@dataclass(frozen=True)
class Contents:
    """`lock`: the name of an object's lock, under which it is decided whether it comes or goes."""

    log: EventLog
    objects: Objects
    clock: Clock
    lock: Callable[[str], str] = object_lock

    async def promote(self, staging_key: str, key: str, *, sha256: str) -> UUID:
        """Copies what is staged to its content address, unless it is there; either way it is read and compared.

        Gives the note under which it is there: `refer_to` takes it off, in the transaction that refers to the object.
        """
        note = uuid4()
        async with self.log.transaction(cause=by_itself(), locks=[self.lock(key)]) as tx:
            going = select(collecting.c.key).where(collecting.c.key == key)
            if (await tx.execute(going)).one_or_none() is not None:
                raise BeingCollected(key)
            await tx.execute(insert(promotions).values(id=note, key=key, noted_at=self.clock()))
        with suppress(ObjectMissing, ObjectChanged):
            await self.objects.expect(key, sha256=sha256)
            return note
        reach("promotion.before_copy")
        await self.objects.copy(staging_key, key, sha256=sha256)
        reach("promotion.after_copy")
        return note


async def refer_to(connection: AsyncConnection, note: UUID) -> None:
    """In the transaction that refers to the object, under its lock. Swept if too much time has passed."""
    if not (await connection.execute(delete(promotions).where(promotions.c.id == note))).rowcount:
        raise Swept("what was put at its content address may have been collected")
