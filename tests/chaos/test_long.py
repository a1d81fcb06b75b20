"""The long runs of the fault bench: `make test-chaos`. PAC_CHAOS_DEPLOYMENTS lowers how many deployments each has."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest

from pac.testkit.agents import packed_agent
from pac.testkit.chaos import Armed, Bench, Load, bench, points_of, seed_of, table
from pac.testkit.laws import laws_hold

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]
Faults = Callable[[Bench, Load, Random], Coroutine[None, None, None]]


@dataclass(frozen=True)
class Run:
    folder: Path
    capsys: pytest.CaptureFixture[str]

    async def under(self, name: str, faults: Faults, *, deployments: int, pace: float = 1.0) -> None:
        """A load of so many deployments while the faults happen, and what must hold afterwards."""
        seed = seed_of()
        random = Random(seed)  # noqa: S311 - draws faults, hides nothing
        deployments = min(deployments, int(os.environ.get("PAC_CHAOS_DEPLOYMENTS", deployments)))
        async with bench(self.folder / "state") as running:
            load = Load(running, self.folder, random)
            await load.open(10)
            running.note("everything is ready")
            async with load.looking():
                faulty = asyncio.create_task(faults(running, load, random))
                await load.keep_deploying(faulty, at_least=deployments, at_most=2 * deployments, pace=pace)
                await faulty
                running.note("all accepted")
                await load.all_ended(seconds=400)
                running.note("all ended")
            laws = await load.laws(seconds=90)
            told = table(name, seed, running, load, laws)
        with self.capsys.disabled():
            print(told)  # noqa: T201 - the table is what the bench is for
        assert not load.faults, told
        assert not laws, told
        assert all(one.hit for one in running.armed), told


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    return Run(tmp_path, capsys)


async def test_a_crash_at_every_point(run: Run) -> None:
    async def faults(running: Bench, load: Load, random: Random) -> None:
        await running.crash(points_of(random), seconds=60)
        for point in ("parking.before_insert", "parking.after_insert", "parking.before_delete"):
            # The gateway crashes before it says that there is an account; the deployment is heard of first.
            parking = Armed("billing", point, 1)
            await running.arm(parking)
            await running.arm(Armed("gateway", "relay.before_send", 1))
            await load.open_unheard()
            await load.deploy(1)
            hit = await running.all_hit([parking], seconds=40)
            running.note(f"billing {'crashed at' if hit else 'did not come by'} {point}")

    await run.under("every point", faults, deployments=500)


async def test_postgres_killed_again_and_again(run: Run) -> None:
    async def faults(running: Bench, load: Load, random: Random) -> None:
        while len(load.accepted) < 280:
            await asyncio.sleep(random.uniform(5, 20))
            await running.end("postgres")
            if len(running.killed) > 100:
                return

    await run.under("postgres", faults, deployments=300)


async def test_kafka_killed_paused_and_away(run: Run) -> None:
    async def faults(running: Bench, load: Load, random: Random) -> None:
        for number in range(10):
            await asyncio.sleep(random.uniform(5, 15))
            if number == 3:
                running.note("kafka is paused for 30 s")
                await running.pause("kafka", 30)
            if number == 6:
                running.note("kafka is away for 60 s")
                await running.away("kafka", 60)
            await running.end("kafka")

    await run.under("kafka", faults, deployments=300)


async def test_any_process_killed_ended_and_paused(run: Run) -> None:
    async def faults(running: Bench, load: Load, random: Random) -> None:
        names = [one.name for one in running.local.supervisor.status()]
        for _ in range(40):
            await asyncio.sleep(random.uniform(1, 6))
            name = random.choice(names)
            if random.random() < 0.3:
                running.note(f"{name} is paused")
                await running.pause(name, random.uniform(2, 12))
            else:
                await running.end(name, random.choice([signal.SIGKILL, signal.SIGTERM]))

    await run.under("any process", faults, deployments=200)


async def test_ten_credits_pay_for_ten_of_fifty_deployments_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path / "state") as running:
        tenant = await running.pac.tenant(credits=10)
        packages = [packed_agent(tmp_path, version=f"1.{number}.0") for number in range(50)]
        posts = (running.pac.deploy(tenant, package, f"1.{n}.0") for n, package in enumerate(packages))
        answers = await asyncio.gather(*posts)
        assert Counter(answer.status for answer in answers) == {202: 10, 402: 40}
        for answer in answers:
            if answer.status == 202:
                end = await running.pac.ended(answer.body["deployment"]["id"], tenant.key)
                assert end["status"] == "completed"
        await laws_hold(running.pac.status, patience_seconds=60)
        balance = (await running.pac.call("GET", "/api/credits", tenant.key)).body
        assert (balance["available"], balance["reserved"], balance["spent"]) == (0, 0, 10)


async def test_one_of_fifty_deployments_of_a_version_at_once_is_accepted(tmp_path: Path) -> None:
    async with bench(tmp_path / "state") as running:
        tenant = await running.pac.tenant()
        before = await running.pac.credits_opened(tenant.key)
        package = packed_agent(tmp_path)
        answers = await asyncio.gather(*(running.pac.deploy(tenant, package, "1.0.0") for _ in range(50)))
        assert Counter(answer.status for answer in answers) == {202: 1, 400: 49}
        refused = [answer.body for answer in answers if answer.status == 400]
        assert all(body["details"] == ["Version already exists"] for body in refused)
        accepted = next(answer.body for answer in answers if answer.status == 202)
        assert (await running.pac.ended(accepted["deployment"]["id"], tenant.key))["status"] == "completed"
        await laws_hold(running.pac.status, patience_seconds=60)
        after = (await running.pac.call("GET", "/api/credits", tenant.key)).body
        assert (after["available"], after["spent"]) == (before["available"] - 1, 1)
