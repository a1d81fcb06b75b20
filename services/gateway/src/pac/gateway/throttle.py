"""How often somebody may ask: a bucket of tokens for each, in this process's memory, bounded, and lost with it."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

ROUNDING_SECONDS = 1e-6


@dataclass(frozen=True)
class Taken:
    """`wait_seconds` is 0 where a token was there. `full_seconds`: until the bucket is full again."""

    wait_seconds: float
    remaining: int
    full_seconds: float


@dataclass
class Throttle:
    """A full bucket holds `burst` requests and fills by `per_second`. Of too many callers the most silent leaves."""

    per_second: float
    burst: int
    callers_max: int = 10_000
    clock: Callable[[], float] = time.monotonic
    _full_at: "OrderedDict[str, float]" = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, caller: str, *, patience_seconds: float = 0.0) -> Taken:
        """One request. Whoever must wait no longer than `patience_seconds` has its turn then; else nothing is taken."""
        now = self.clock()
        full_at = max(self._full_at.get(caller, now), now)
        wait_seconds = full_at - now - (self.burst - 1) / self.per_second
        if wait_seconds <= patience_seconds + ROUNDING_SECONDS:
            full_at += 1 / self.per_second
            self._full_at[caller] = full_at
            self._full_at.move_to_end(caller)
            if len(self._full_at) > self.callers_max:
                self._full_at.popitem(last=False)
        remaining = int(self.burst - (full_at - now) * self.per_second + ROUNDING_SECONDS)
        wait_seconds = 0.0 if wait_seconds <= ROUNDING_SECONDS else wait_seconds
        return Taken(wait_seconds, max(0, remaining), full_at - now)
