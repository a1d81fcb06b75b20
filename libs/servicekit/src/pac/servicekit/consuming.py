"""Where this service's consumers stand: how far behind the whole group is, and when this process polled last."""

import time
from dataclasses import dataclass, field
from typing import Any, Final

FRESH_SECONDS: Final = 6.0


@dataclass
class Consuming:
    """Made in app.py and handed to the sweeper and to Service alike; filled in by the running subscriptions."""

    subscribed: bool = False
    busy: bool = False
    _polled_at: float | None = None
    _lag: dict[tuple[str, int], int] = field(default_factory=dict)
    _looked_at: float = float("-inf")

    def caught_up(self) -> bool:
        """True while every partition of every topic heard was at its end, a moment ago, for all replicas together.

        False when nothing is known: before the first look, and while the broker is away.
        """
        fresh = time.monotonic() - self._looked_at < FRESH_SECONDS
        return self.subscribed and fresh and not self.busy and bool(self._lag) and not any(self._lag.values())

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

    def looked(self, lag: dict[tuple[str, int], int]) -> None:
        self._lag, self._looked_at = lag, time.monotonic()
