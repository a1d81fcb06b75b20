"""How often an address may ask for what is open to everybody. In this process's memory, bounded, and lost with it."""

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from pac.contracts.errors import ErrorCode, Refused

ROUNDING_SECONDS = 1e-6


@dataclass
class Throttle:
    """A full bucket holds `burst` requests and fills by `per_second`."""

    per_second: float
    burst: int
    addresses_max: int = 10_000
    clock: Callable[[], float] = time.monotonic
    _full_at: "OrderedDict[str, float]" = field(default_factory=OrderedDict)

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, address: str) -> None:
        """Raises Refused (429) when the bucket is empty."""
        now = self.clock()
        full_at = max(self._full_at.get(address, now), now)
        wait_seconds = full_at - now - (self.burst - 1) / self.per_second
        if wait_seconds > ROUNDING_SECONDS:
            raise Refused(ErrorCode.THROTTLED, retry_after_seconds=math.ceil(wait_seconds))
        self._full_at[address] = full_at + 1 / self.per_second
        self._full_at.move_to_end(address)
        if len(self._full_at) > self.addresses_max:
            self._full_at.popitem(last=False)
