"""Which of a service's processes is asked: in turn, those that have just been away last."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

REST_SECONDS = 1.0  # a process is back a few seconds after it was killed; asking a dead one costs next to nothing


@dataclass
class Instances:
    """Known to one gateway only: another finds out for itself. None is ever given up."""

    urls: Sequence[str]
    rest_seconds: float = REST_SECONDS
    clock: Callable[[], float] = time.monotonic
    _turn: int = 0
    _rests_until: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, urls: str) -> "Instances":
        """As a setting names them: one, or several separated by commas."""
        return cls(urls.split(","))

    def in_turn(self) -> list[str]:
        """Each of them once, to be asked in this order until one answers."""
        first = self._turn % len(self.urls)
        self._turn += 1
        now = self.clock()
        turned = [*self.urls[first:], *self.urls[:first]]
        return sorted(turned, key=lambda url: self._rests_until.get(url, now) > now)

    def was_away(self, url: str) -> None:
        self._rests_until[url] = self.clock() + self.rest_seconds
