"""Wraps every data key by the key-encryption key that writes, and seals the webhooks' secrets by it.

An app's values stay as they are, so this is quick.

It may be cut off anywhere and run again, also twice at once: what is wrapped by the right key is not looked at.
"""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import UUID, uuid4

from sqlalchemy import func, select, tuple_, update

from pac.eventlog import Cause, EventLog, Transaction
from pac.runtime_notifier.secrets.envelope import KeyRing, Unreadable, Wrapped
from pac.runtime_notifier.secrets.tables import VAULTS
from pac.runtime_notifier.webhooks.seals import CannotUnseal, Seals
from pac.runtime_notifier.webhooks.tables import SECRETS as WEBHOOK_SECRETS

BATCH = 100
Told = Callable[[int, int], None]  # how many were looked at, of how many


@dataclass(frozen=True)
class Rekeyed:
    """`resealed`: secrets of webhooks. `unreadable`: a sentence for each that none of the keys at hand opens."""

    kek_id: str
    rewrapped: int
    resealed: int
    unreadable: tuple[str, ...]


@dataclass(frozen=True)
class Rekeying:
    log: EventLog
    ring: KeyRing

    async def run(self, told: Told) -> Rekeyed:
        total, rewrapped, after = await self._left(), 0, UUID(int=0)
        unreadable: list[str] = []
        while True:
            async with self.log.transaction(cause=Cause("operator", uuid4())) as tx:
                batch = await self._batch(tx, after)
                for wrapped in batch:
                    try:
                        rewrapped += await self._rewrap(tx, wrapped)
                    except Unreadable as why:
                        unreadable.append(str(why))
            if not batch:
                break
            after = batch[-1].app_id
            told(rewrapped + len(unreadable), total)
        resealed = await self._reseal_all(unreadable)
        return Rekeyed(self.ring.writing, rewrapped, resealed, tuple(unreadable))

    async def _reseal_all(self, unreadable: list[str]) -> int:
        seals, resealed, after = Seals.of_ring(self.ring), 0, (UUID(int=0), 0)
        place = tuple_(WEBHOOK_SECRETS.c.webhook_id, WEBHOOK_SECRETS.c.number)
        old = func.substring(WEBHOOK_SECRETS.c.sealed, 1, len(seals.mark)) != seals.mark
        while True:
            async with self.log.transaction(cause=Cause("operator", uuid4())) as tx:
                statement = select(WEBHOOK_SECRETS).where(old, place > after).order_by(place).limit(BATCH)
                rows = (await tx.execute(statement.with_for_update())).all()
                for row in rows:
                    try:
                        sealed = seals.seal(
                            row.webhook_id, row.number, seals.opened(row.webhook_id, row.number, row.sealed)
                        )
                    except CannotUnseal as why:
                        unreadable.append(f"secret {row.number} of webhook {row.webhook_id}: {why}")
                    else:
                        mine = place == (row.webhook_id, row.number)
                        await tx.execute(update(WEBHOOK_SECRETS).where(mine).values(sealed=sealed))
                        resealed += 1
            if not rows:
                return resealed
            after = (rows[-1].webhook_id, rows[-1].number)

    async def _left(self) -> int:
        statement = select(func.count()).select_from(VAULTS).where(VAULTS.c.kek_id != self.ring.writing)
        async with self.log.reading() as connection:
            return int(await connection.scalar(statement) or 0)

    async def _batch(self, tx: Transaction, after: UUID) -> list[Wrapped]:
        """Locked until the commit: an app that is deleted meanwhile is not, or not yet."""
        statement = select(VAULTS).where(VAULTS.c.kek_id != self.ring.writing, VAULTS.c.app_id > after)
        rows = await tx.execute(statement.order_by(VAULTS.c.app_id).limit(BATCH).with_for_update())
        return [Wrapped(row.app_id, row.kek_id, row.wrapped_key) for row in rows]

    async def _rewrap(self, tx: Transaction, wrapped: Wrapped) -> int:
        anew = self.ring.wrap(wrapped.app_id, self.ring.unwrap(wrapped))
        row = update(VAULTS).where(VAULTS.c.app_id == wrapped.app_id)
        await tx.execute(row.values(kek_id=anew.kek_id, wrapped_key=anew.sealed))
        return 1
