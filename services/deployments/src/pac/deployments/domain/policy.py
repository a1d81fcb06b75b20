"""How long things may take, and how often they are tried."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pac.contracts.base import Step

DOUBLINGS_MAX = 20


@dataclass(frozen=True)
class Policy:
    """A worker's outage costs attempts: attempts times the step's deadline must outlast an ordinary one."""

    attempts: int = 3
    step_deadline: timedelta = timedelta(seconds=300)
    finalize_deadline: timedelta = timedelta(seconds=30)
    backoff: timedelta = timedelta(seconds=5)
    hold_deadline: timedelta = timedelta(hours=24)
    ask_again: timedelta = timedelta(seconds=60)
    longest_wait: timedelta = timedelta(minutes=15)  # between two askings, and before another attempt

    def doubled(self, first: timedelta, times: int) -> timedelta:
        factor = 1 << min(times, DOUBLINGS_MAX)
        return min(first * factor, max(first, self.longest_wait))

    def due(self, step: Step, attempt: int, at: datetime) -> datetime:
        """When the answer to an attempt is late. Finalize is asked for ever, ever more slowly."""
        if step is Step.FINALIZE:
            return at + self.doubled(self.finalize_deadline, attempt - 1)
        return at + self.step_deadline
