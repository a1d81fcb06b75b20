"""What was last read from Postgres about those who call: believed for a short time, and longer while it is away."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pac.contracts.errors import ErrorCode, Refused

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(frozen=True)
class _Held(Generic[V]):
    value: V
    read_at: float  # monotonic, taken before the read: what is held is never older than it says


@dataclass
class Held(Generic[K, V]):
    """Bounded: the longest unused leave first.

    What was read is believed for `ttl_seconds`, so that a change holds everywhere within that time; the process that
    makes the change forgets at once. While Postgres is away, reads go on with what is held for `outage_seconds`, so
    that a poll of a status does not fail; writes do not. What is not there is not held: guesses push nothing out, and
    what is new works everywhere at once.
    """

    size: int = 10_000
    ttl_seconds: float = 4.0
    outage_seconds: float = 300.0
    lookup_timeout_seconds: float = 1.0
    clock: Callable[[], float] = time.monotonic
    _held: OrderedDict[K, _Held[V]] = field(default_factory=OrderedDict)

    async def known(self, key: K, read: Callable[[], Awaitable[V | None]], *, is_read: bool) -> V | None:
        """Refused as unavailable when Postgres can't be asked, or not in time, and nothing held will do."""
        held, asked_at = self._held.get(key), self.clock()
        if held is not None:
            self._held.move_to_end(key)
            if asked_at - held.read_at < self.ttl_seconds:
                return held.value
        try:
            async with asyncio.timeout(self.lookup_timeout_seconds):
                found = await read()
        except OSError:  # Postgres is away, or too slow (a TimeoutError is one too)
            if held is not None and is_read and asked_at - held.read_at < self.outage_seconds:
                return held.value
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1) from None
        if found is None:
            self._held.pop(key, None)
        else:
            self._put(key, _Held(found, asked_at))
        return found

    def forget(self, is_meant: Callable[[K, V], bool]) -> None:
        """Something was changed here: this process answers no further request with what it held of it."""
        for key in [key for key, held in self._held.items() if is_meant(key, held.value)]:
            del self._held[key]

    def _put(self, key: K, held: _Held[V]) -> None:
        self._held[key] = held
        self._held.move_to_end(key)
        while len(self._held) > self.size:
            self._held.popitem(last=False)

    def __len__(self) -> int:
        return len(self._held)
