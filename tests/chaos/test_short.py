"""A short run of the fault bench: a few crash points, one service after the other, and each server killed once.

A busy machine makes it slower and nothing else: a point has as long as it needs, and the load goes on meanwhile.
"""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from pac.testkit.chaos import Bench, Row, Scene, Show, a_few_points, bench, under
from pac.testkit.holds import Figure

POINTS = 4  # in one service each
SERVERS = ("postgres", "kafka", "s3")
ROW = Row("short", "a few crash points, each server killed once", 12, short=True)


async def faults(scene: Scene[Bench]) -> Mapping[str, Figure]:
    running, random = scene.ground, scene.random

    async def servers() -> None:
        for name in random.sample(SERVERS, len(SERVERS)):
            await asyncio.sleep(random.uniform(3, 6))
            await running.end(name)
            await running.back(name)

    points = a_few_points(random, limit=POINTS)
    await asyncio.gather(running.crash(points, seconds=120, number=signal.SIGKILL), servers())
    return {"points": POINTS}


@pytest.mark.timeout(600)  # by itself it takes little more than a minute
async def test_crashes_and_outages_under_load(tmp_path: Path, show: Show) -> None:
    await show(under(ROW, tmp_path, bench(tmp_path), faults, pace=2.0))
