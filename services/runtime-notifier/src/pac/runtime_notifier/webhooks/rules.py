"""When an endpoint is tried again, left in peace for a while, and given up. Pure: the clock and chance come in."""

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from pac.servicekit.outgoing import Answer, NoAnswer

SLOW_DOWN = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
JITTER = 0.1  # a wait is shortened by up to so much of it: many that failed together do not come back together


@dataclass(frozen=True)
class Policy:
    """`retry_seconds`: the waits between attempts at one notice, so one attempt more than there are waits.

    After `circuit_failures` in a row an endpoint gets one attempt at a time, after pauses that double from
    `pause_seconds` to `longest_pause_seconds`. One that has had no success for `disable_seconds` is disabled.
    """

    retry_seconds: tuple[float, ...]
    circuit_failures: int
    pause_seconds: float
    longest_pause_seconds: float
    disable_seconds: float
    retry_after_max_seconds: float

    def wait_seconds(self, attempts: int, failed: "Failed", chance: float) -> float | None:
        """Before the attempt after `attempts`; None if there is none. `chance`: 0 to 1."""
        if attempts > len(self.retry_seconds):
            return None
        wait = self.retry_seconds[attempts - 1] * (1 - JITTER * chance)
        return max(wait, min(failed.retry_after_seconds, self.retry_after_max_seconds))


@dataclass(frozen=True)
class Delivered:
    status: int


@dataclass(frozen=True)
class Failed:
    """`error`: one line, fit to be shown. `is_gone`: the endpoint wants no more (410)."""

    status: int | None
    error: str
    retry_after_seconds: float = 0.0
    is_gone: bool = False


Outcome = Delivered | Failed


@dataclass(frozen=True)
class Health:
    """Of an endpoint. `failures`: in a row; `failing_since`: the first of them."""

    failures: int = 0
    failing_since: datetime | None = None
    paused_until: datetime | None = None

    def after(self, outcome: Outcome, at: datetime, policy: Policy) -> "Health":
        if isinstance(outcome, Delivered):
            return Health()
        failures = self.failures + 1
        pause = min(outcome.retry_after_seconds, policy.retry_after_max_seconds) if outcome.status in SLOW_DOWN else 0.0
        if (over := failures - policy.circuit_failures) >= 0:
            pause = max(pause, min(policy.pause_seconds * 2 ** min(over, 30), policy.longest_pause_seconds))
        until = at + timedelta(seconds=pause) if pause else self.paused_until
        return replace(self, failures=failures, failing_since=self.failing_since or at, paused_until=until)

    def is_open(self, policy: Policy) -> bool:
        """The circuit: one attempt at a time until one succeeds."""
        return self.failures >= policy.circuit_failures

    def why_disabled(self, outcome: Outcome, at: datetime, policy: Policy) -> str | None:
        """Asked of the health after the outcome; one line for the owner."""
        if isinstance(outcome, Failed) and outcome.is_gone:
            return "The endpoint answered 410 Gone"
        if self.failing_since is None or at - self.failing_since < timedelta(seconds=policy.disable_seconds):
            return None
        return f"No delivery has succeeded for {_told(policy.disable_seconds)}"


def outcome_of(answer: Answer | NoAnswer, at: datetime) -> Outcome:
    if isinstance(answer, NoAnswer):
        return Failed(None, f"The endpoint {answer.why}")
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivered(status)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return Failed(status, f"The endpoint answered {status}: redirects are not followed")
    after = retry_after_seconds(answer.headers.get("Retry-After", ""), at)
    return Failed(status, f"The endpoint answered {status}", after, is_gone=status == HTTPStatus.GONE)


def retry_after_seconds(text: str, at: datetime) -> float:
    """Of the header: seconds, or a date (RFC 9110, 10.2.3); 0 for anything else, and for the past."""
    text = text.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        until = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    until = until if until.tzinfo is not None else until.replace(tzinfo=UTC)
    return max((until - at).total_seconds(), 0.0)


def chance() -> float:
    return random.random()  # noqa: S311 - spreads, hides nothing


def _told(seconds: float) -> str:
    for name, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} seconds"
