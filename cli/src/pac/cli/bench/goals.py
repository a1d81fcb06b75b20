"""What the project wants of the ratios. Where they come from: its facts on performance."""

from dataclasses import dataclass

from pac.cli.bench.measuring import Result


@dataclass(frozen=True)
class Goal:
    limit: float
    at_most: bool = False

    def is_met_by(self, one: Result) -> bool:
        return one.ratio <= self.limit if self.at_most else one.ratio >= self.limit

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.limit:g}"


# By name, and the beginning of the peer's name.
GOALS = {
    ("append.1", "psycopg, the same"): Goal(0.9),
    ("append.8", "psycopg, the same"): Goal(0.9),
    ("append.32", "psycopg, the same"): Goal(2.0),
    ("append.8", "eventsourcing"): Goal(2.0),
    ("fold", "COPY"): Goal(0.3),
    ("completed.p50", "floor"): Goal(2.0, at_most=True),
    ("completed.p50.without_storage", "floor"): Goal(2.0, at_most=True),
    ("throughput", "floor"): Goal(0.5),
    ("upload", "aioboto3"): Goal(0.8),
    ("memory.gateway", "an upload"): Goal(1.1, at_most=True),  # 16 MiB of about 130
    ("memory.packages", "an upload"): Goal(1.1, at_most=True),
    ("slow_bodies.p99", "the same"): Goal(2.0, at_most=True),
    ("bombs.milliseconds", "the limit"): Goal(1.0, at_most=True),
    ("bombs.mebibytes", "the limit"): Goal(1.0, at_most=True),
    ("scale.10000", "1,000"): Goal(1.1, at_most=True),
    ("scale.100000", "1,000"): Goal(1.1, at_most=True),
}


def goal_of(one: Result) -> Goal | None:
    found = [goal for (name, peer), goal in GOALS.items() if name == one.name and one.peer.startswith(peer)]
    return found[0] if found else None
