"""What happens when, drawn from a seed: the same seed draws the same faults. When they bite is up to the machine."""

import os
import secrets
from dataclasses import dataclass
from random import Random

from pac.eventlog.crashpoints import POINTS

SEED = "PAC_CHAOS_SEED"
# Reached only when a message comes too early, which one of the tests brings about on purpose.
BROUGHT_ABOUT = ("parking.before_insert", "parking.after_insert", "parking.before_delete")
# Reached only by bytes that nobody has needed for a day: the tests of packages crash there.
OF_A_DAY = ("collection.before_delete", "collection.after_delete")
# Where every deployment comes by more than once.
OFTEN = ("execute.", "transaction.", "relay.in", "offsets.", "projection.", "reserve.")
# Where some deployments never come by: those that fail, those whose upload is refused.
SELDOM = ("parking.", "release.", "unstaging.", "collection.")


def seed_of() -> int:
    """The one that is to be replayed, or a fresh one."""
    return int(os.environ.get(SEED) or secrets.randbelow(1_000_000))


def draws(seed: int | str) -> Random:
    """The one place where chance comes from; it hides nothing."""
    return Random(seed)  # noqa: S311 - see above


@dataclass
class Armed:
    service: str
    point: str
    time: int
    hits_before: int = 0
    hit: bool = False

    @property
    def text(self) -> str:
        return f"{self.point}@{self.time}"


def a_few_points(random: Random, *, limit: int) -> list[Armed]:
    """Of those where every good deployment comes by, so that a short run reaches them; services take turns."""
    by_service: dict[str, list[Armed]] = {}
    for point, about in POINTS.items():
        if not point.startswith(SELDOM):
            service = random.choice([one for one in about.services if one != "gateway"])
            by_service.setdefault(service, []).append(Armed(service, point, 1))
    services = random.sample(sorted(by_service), len(by_service))
    turns = [services[number % len(services)] for number in range(limit)]
    return [by_service[one].pop(random.randrange(len(by_service[one]))) for one in turns]


def points_of(random: Random, *, limit: int | None = None) -> dict[str, list[Armed]]:
    """Which service is to crash where, one after the other; all points that deployments reach, or `limit` of them."""
    left = [name for name in POINTS if name not in BROUGHT_ABOUT + OF_A_DAY]
    random.shuffle(left)
    schedule: dict[str, list[Armed]] = {}
    for point in left[:limit]:
        # The shortest list: the services go through theirs side by side.
        service = min(
            (one for one in POINTS[point].services if one != "gateway"), key=lambda one: len(schedule.get(one, ()))
        )
        armed = Armed(service, point, random.randint(1, 3) if point.startswith(OFTEN) else 1)
        schedule.setdefault(service, []).append(armed)
    return schedule
