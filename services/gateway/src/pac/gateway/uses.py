"""When each API key was last used: noted in memory, and written for all keys together, off the requests' way."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID


class Uses(Protocol):
    async def write_uses(self, last: dict[UUID, datetime]) -> None: ...


@dataclass
class LastUses:
    """A reader. What was not written when the process dies is lost: `last_used_at` is for people.

    Bounded: of more than `size` keys within one interval the rest is not noted.
    """

    table: Uses
    interval_seconds: float = 5.0
    size: int = 10_000
    name: str = "key-uses"
    _last: dict[UUID, datetime] = field(default_factory=dict)
    _noted: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, key_id: UUID, at: datetime) -> None:
        if key_id in self._last or len(self._last) < self.size:
            self._last[key_id] = at
            self._noted.set()

    async def run(self) -> None:
        try:
            while True:
                await self._noted.wait()
                await asyncio.sleep(self.interval_seconds)
                await self.write()
        finally:
            with suppress(OSError):
                await self.write()

    async def write(self) -> None:
        last, self._last = self._last, {}
        self._noted.clear()
        if not last:
            return
        try:
            await self.table.write_uses(last)
        except OSError:  # Postgres is away: kept for the next time, unless there are newer ones
            for key_id, at in last.items():
                if key_id not in self._last:
                    self.note(key_id, at)
            raise
