"""Who follows a deployment's events: one look at the log serves all of them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from sqlalchemy import text

from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog import EventLog

LOOK_SECONDS: Final = 0.25  # at least so often: a wake-up may be lost
PAUSE_SECONDS: Final = 0.02
HEADS = text("SELECT stream, max(version) AS version FROM log.events WHERE stream = ANY (:streams) GROUP BY stream")


@dataclass(eq=False)
class Follower:
    """`moved` is set when the stream has events after `version`, which its owner keeps up to date."""

    account_id: UUID
    stream: str
    version: int
    moved: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass
class Followers:
    """Of this process; bounded for each account and in all."""

    log: EventLog
    per_account: int = 20
    overall: int = 1000
    name: str = "followers"
    _open: set[Follower] = field(default_factory=set)
    _somebody: asyncio.Event = field(default_factory=asyncio.Event)

    @contextmanager
    def following(self, account_id: UUID, stream: str, version: int) -> Iterator[Follower]:
        """Refused (429) when there are too many."""
        mine = sum(each.account_id == account_id for each in self._open)
        if mine >= self.per_account or len(self._open) >= self.overall:
            raise Refused(ErrorCode.THROTTLED, "Too many event streams are open", retry_after_seconds=5)
        follower = Follower(account_id, stream, version)
        self._open.add(follower)
        self._somebody.set()
        try:
            yield follower
        finally:
            self._open.discard(follower)
            if not self._open:
                self._somebody.clear()

    @property
    def open(self) -> int:
        return len(self._open)

    async def count(self) -> int:
        """For the metrics."""
        return self.open

    async def run(self) -> None:
        while True:
            await self._somebody.wait()
            woken = self.log.woken()
            with suppress(OSError):  # an outage: the next look finds what has come meanwhile
                await self.look()
            await woken.wait(LOOK_SECONDS)
            await asyncio.sleep(PAUSE_SECONDS)  # one look for commits that come in a row

    async def look(self) -> None:
        waiting = [each for each in self._open if not each.moved.is_set()]
        if not waiting:
            return
        async with self.log.reading() as connection:
            found = await connection.execute(HEADS, {"streams": list({each.stream for each in waiting})})
            heads = {row.stream: row.version for row in found}
        for each in waiting:
            if heads.get(each.stream, 0) > each.version:
                each.moved.set()
