"""Where this service's consumers stand: how far behind the whole group is, and when this process polled last."""

import time
from dataclasses import dataclass, field
from typing import Any, Final

FRESH_SECONDS: Final = 6.0
Offsets = dict[tuple[str, int], int]


@dataclass
class Consuming:
    """Made in app.py and handed to the sweeper and to Service alike; filled in by the running subscriptions."""

    subscribed: bool = False
    _polled_at: float | None = None
    _ends: Offsets = field(default_factory=dict)
    _lag: Offsets = field(default_factory=dict)
    _unheard: Offsets = field(default_factory=dict)
    _looked_at: float = float("-inf")

    def caught_up(self) -> bool:
        """True when all that had been said by the look before the last one is heard, by all replicas together.

        Not "nothing is waiting": under steady traffic something always is, and deadlines must be kept then too.
        False when nothing is known: before the first look, and while the broker is away.
        """
        fresh = time.monotonic() - self._looked_at < FRESH_SECONDS
        return self.subscribed and fresh and bool(self._unheard) and not any(self._unheard.values())

    def poll_age_seconds(self) -> float:
        """Since the last poll; 0 when there is nothing to poll."""
        return 0.0 if self._polled_at is None else time.monotonic() - self._polled_at

    def details(self) -> dict[str, Any]:
        return {
            "subscribed": self.subscribed,
            "lag": sum(self._lag.values()),
            "caught_up": self.caught_up(),
            "poll_age_seconds": round(self.poll_age_seconds(), 1),
        }

    def polled(self) -> None:
        self._polled_at = time.monotonic()

    def stopped(self) -> None:
        self.subscribed, self._polled_at = False, None

    def looked(self, ends: Offsets, committed: Offsets) -> Offsets:
        """Both by (topic, partition). Gives the lag of each partition."""
        before = self._ends or ends
        self._unheard = {place: max(0, before.get(place, end) - committed[place]) for place, end in ends.items()}
        self._lag = {place: max(0, end - committed[place]) for place, end in ends.items()}
        self._ends, self._looked_at = ends, time.monotonic()
        return self._lag
