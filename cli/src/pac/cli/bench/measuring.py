"""Paired rounds: every round measures each contender once, and the ratio of a pair is that of one round."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

T = TypeVar("T")
Measure = Callable[[], Awaitable[float]]
OURS = "pac"


@dataclass(frozen=True)
class Options:
    """How long and how large. `seconds`: of one measurement that counts what gets done in a time."""

    rounds: int = 7
    seconds: float = 0.8
    events: int = 100_000
    deployments: int = 20
    in_flight: int = 128
    megabytes: int = 100
    existing: int = 100_000


@dataclass(frozen=True)
class Result:
    """Ours beside one peer. `pairs`: (ours, the peer's) of every round, in order."""

    name: str
    unit: str
    peer: str
    pairs: tuple[tuple[float, float], ...]

    @property
    def value(self) -> float:
        return median(ours for ours, _ in self.pairs)

    @property
    def peer_value(self) -> float:
        return median(theirs for _, theirs in self.pairs)

    @property
    def ratios(self) -> tuple[float, ...]:
        return tuple(ours / theirs for ours, theirs in self.pairs)

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios: what disturbs one round disturbs both sides of it."""
        return median(self.ratios)

    def shown(self) -> dict[str, str | float | int]:
        """The fields of the interface."""
        return {
            "name": self.name,
            "unit": self.unit,
            "value": _rounded(self.value),
            "peer": self.peer,
            "peer_value": _rounded(self.peer_value),
            "ratio": _rounded(self.ratio),
            "runs": len(self.pairs),
        }


def result(name: str, unit: str, peer: str, rounds: Sequence[Mapping[str, float]]) -> Result:
    return Result(name, unit, peer, tuple((one[OURS], one[peer]) for one in rounds))


def results_of_times(name: str, peer: str, rounds: Sequence[Mapping[str, Sequence[float]]]) -> list[Result]:
    """Of seconds that things took: `name.p50` and `name.p99`, in milliseconds. A round's p99 may be its longest."""
    return [
        result(f"{name}.{suffix}", "ms", peer, [_milliseconds(one, share) for one in rounds])
        for suffix, share in (("p50", 0.5), ("p99", 0.99))
    ]


def _milliseconds(one: Mapping[str, Sequence[float]], share: float) -> dict[str, float]:
    return {name: percentile(seconds, share) * 1000 for name, seconds in one.items()}


async def paired(rounds: int, contenders: Mapping[str, Callable[[], Awaitable[T]]]) -> list[dict[str, T]]:
    """What each contender gave, round by round. Who comes first changes, so that nobody always follows the same."""
    names, found = list(contenders), list[dict[str, T]]()
    for number in range(rounds):
        first = number % len(names)
        figures: dict[str, T] = {}
        for name in (*names[first:], *names[:first]):
            gc.collect()
            figures[name] = await contenders[name]()
        found.append(figures)
    return found


async def calls_per_second(callers: int, seconds: float, call: Callable[[int], Awaitable[None]]) -> float:
    """So many callers, each calling again and again with its own number."""
    began = time.perf_counter()
    until = began + seconds

    async def caller(number: int) -> int:
        done = 0
        while time.perf_counter() < until:
            await call(number)
            done += 1
        return done

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(caller(number)) for number in range(callers)]
    return sum(task.result() for task in tasks) / (time.perf_counter() - began)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def _rounded(value: float) -> float:
    """Four significant digits: more would be noise."""
    return float(f"{value:.4g}")
