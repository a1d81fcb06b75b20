"""A short run of the fault bench: a dozen crash points, each server once away. Minutes: not in `make test` yet."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from pac.testkit.chaos import Load, bench, points_of, seed_of, table

POINTS, DEPLOYMENTS = 12, 25
SERVERS = ("postgres", "kafka", "s3")


@pytest.mark.chaos
@pytest.mark.timeout(300)  # a shared machine may be slow; by itself it takes less than two minutes
async def test_crashes_and_outages_under_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seed = seed_of()
    random = Random(seed)  # noqa: S311 - draws faults, hides nothing
    async with bench(tmp_path / "state") as running:
        load = Load(running, tmp_path, random)
        await load.open(10)
        running.note("everything is ready")

        async def servers() -> None:
            for name in random.sample(SERVERS, len(SERVERS)):
                await asyncio.sleep(8)
                await running.end(name)

        async def faults() -> None:
            await asyncio.gather(running.crash(points_of(random, limit=POINTS), seconds=20), servers())

        async with load.looking():
            faulty = asyncio.create_task(faults())
            await load.keep_deploying(faulty, at_least=DEPLOYMENTS, at_most=DEPLOYMENTS + 15, pace=1.5)
            await faulty
            running.note("all accepted")
            await load.all_ended(seconds=100)
            running.note("all ended")
        laws = await load.laws(seconds=40)
        told = table("short", seed, running, load, laws)
    with capsys.disabled():
        print(told)  # noqa: T201 - the table is what the bench is for
    assert not load.faults, told
    assert not laws, told
    # On a busy machine a service may be started again before it came by; the long run demands every point.
    assert sum(one.hit for one in running.armed) >= POINTS // 3, told
