"""Named places at which a process ends itself, as a crash there would: for the fault bench, by the environment alone.

`PAC_CRASH_POINTS=relay.before_send@3,capture.after_commit` ends this process by SIGKILL when it reaches the first point
for the third time, or the second one at all. The variable is read once, at import; without it `reach` is one look at an
empty dict. Services say at their start what is armed. `POINTS` is the whole table: a name outside of it is refused.
"""

import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

VARIABLE: Final = "PAC_CRASH_POINTS"


@dataclass(frozen=True)
class Point:
    """`services`: where it is reached. `leaves`: what a crash there leaves to be done again, or not."""

    services: tuple[str, ...]
    leaves: str


_PACKAGES, _BILLING, _NOTIFIER, _HUB = ("packages",), ("billing",), ("runtime-notifier",), ("deployments",)
_WORKERS = (*_PACKAGES, *_NOTIFIER)
_CONSUMERS = (*_PACKAGES, *_HUB, *_BILLING, *_NOTIFIER)
_ALL = ("gateway", *_CONSUMERS)

POINTS: Final[Mapping[str, Point]] = MappingProxyType(
    {
        "execute.before_commit": Point(_HUB, "nothing: the decision was never made"),
        "execute.after_commit": Point(_HUB, "events that nobody was told of in this process"),
        "transaction.before_commit": Point(_CONSUMERS, "nothing: all of it is rolled back"),
        "transaction.after_commit": Point(_CONSUMERS, "effects whose message is not acknowledged"),
        "projection.before_commit": Point(_HUB, "a batch that is not applied"),
        "projection.after_commit": Point(_HUB, "a batch that is applied, and not known to be"),
        "relay.before_send": Point(_ALL, "events that only the log has"),
        "relay.in_send": Point(_ALL, "some of a batch handed over, none known to be taken"),
        "relay.after_send": Point(_ALL, "events that are said, and will be said again"),
        "relay.before_checkpoint": Point(_ALL, "the same, with the connection taken"),
        "relay.after_checkpoint": Point(_ALL, "a lease that nobody gives back"),
        "offsets.before_commit": Point(_CONSUMERS, "messages that were handled, and come again"),
        "offsets.after_commit": Point(_CONSUMERS, "a group with a member that is gone"),
        "parking.before_insert": Point(_BILLING, "a message that came too early, and comes again"),
        "parking.after_insert": Point(_BILLING, "a message that is set aside and not acknowledged"),
        "parking.before_delete": Point(_BILLING, "a message that is handled and still set aside"),
        "job.taken": Point(_WORKERS, "a job under a lease that nobody renews"),
        "job.before_done": Point(_WORKERS, "work whose result is not written"),
        "job.after_done": Point(_WORKERS, "a job deleted in a transaction that never commits"),
        "staging.before_put": Point(_PACKAGES, "a note of an object that does not exist"),
        "staging.after_put": Point(_PACKAGES, "a staged object that no submission knows"),
        "promotion.before_copy": Point(_PACKAGES, "a staged object that is still to be promoted"),
        "promotion.after_copy": Point(_PACKAGES, "both objects, and no answer"),
        "collection.before_delete": Point(_PACKAGES, "an object that is written down to go"),
        "collection.after_delete": Point(_PACKAGES, "a line about an object that is gone"),
        "unstaging.before_delete": Point(_PACKAGES, "a staged object that nobody needs any more"),
        "unstaging.after_delete": Point(_PACKAGES, "a note of an object that is gone"),
        "runtime.before_post": Point(_NOTIFIER, "nothing given"),
        "runtime.after_post": Point(_NOTIFIER, "a package given, and nobody who knows it"),
        "reserve.before_commit": Point(_BILLING, "no hold"),
        "reserve.after_commit": Point(_BILLING, "a hold that nobody was told of"),
        "capture.before_commit": Point(_BILLING, "a hold that is still to be captured"),
        "capture.after_commit": Point(_BILLING, "a capture that nobody was told of"),
        "release.before_commit": Point(_BILLING, "a hold that is still to be released"),
        "release.after_commit": Point(_BILLING, "a release that nobody was told of"),
    }
)


def parsed(text: str) -> dict[str, int]:
    """How often each armed point may still be reached, the last time included. ValueError for what is not a point."""
    armed: dict[str, int] = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        name, _, count = one.partition("@")
        if name not in POINTS or not (count or "1").isdecimal() or (times := int(count or "1")) < 1:
            raise ValueError(f"{VARIABLE}: {one} is not a crash point")
        armed[name] = times
    return armed


_LEFT: Final = parsed(os.environ.get(VARIABLE, ""))


def armed() -> dict[str, int]:
    return dict(_LEFT)


def reach(point: str) -> None:
    """Called at the point. Does nothing, unless it is armed and has been reached often enough."""
    if _LEFT and point in _LEFT:
        _LEFT[point] -= 1
        if _LEFT[point] == 0:
            os.write(2, f"{told(point)}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)


def told(point: str) -> str:
    """What the log of a process ends with."""
    return f"crash point {point} reached"
