"""Processes and servers are killed and paused under load: `make test-chaos`. PAC_CHAOS_DEPLOYMENTS lowers each."""

import asyncio
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest

from pac.contracts.topics import ServiceName
from pac.testkit.chaos import Armed, Bench, Row, Scene, Show, bench, points_of, under
from pac.testkit.chaos.consuming import consuming
from pac.testkit.chaos.everything import Detached, detached
from pac.testkit.chaos.schedule import BROUGHT_ABOUT
from pac.testkit.holds import Figure
from pac.testkit.whole import World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]
BACK_SECONDS, CONSUMING_SECONDS = 10.0, 30.0
SERVICES = ("gateway", "packages", "deployments", "billing", "runtime-notifier")


async def test_a_crash_at_every_point(tmp_path: Path, show: Show) -> None:
    row = Row("every-point", "kill -9 at each of the named points", 500)

    async def faults(scene: Scene[Bench]) -> Mapping[str, Figure]:
        running, load = scene.ground, scene.load
        for point in BROUGHT_ABOUT:
            # The gateway does not get to say that there is an account; the deployment is heard of first.
            parking = Armed("billing", point, 1)
            await running.arm(parking)
            await running.silence(ServiceName.GATEWAY, seconds=20)
            await load.open_unheard()
            await load.deploy(1)
            hit = await running.all_hit([parking], seconds=90)
            running.note(f"billing {'crashed at' if hit else 'did not come by'} {point}")
        rounds = 0
        while not rounds or len(load.accepted) < row.lowered:
            await running.crash_side_by_side(points_of(scene.random), seconds=180)
            rounds += 1
        points = {one.point for one in running.armed if one.hit}
        return {"points": len(points), "rounds": rounds, "crashes": sum(one.hit for one in running.armed)}

    await show(under(row, tmp_path, bench(tmp_path), faults))


async def test_everything_killed_at_once(tmp_path: Path, show: Show) -> None:
    row = Row("everything-killed", "kill -9 of everything in the middle, then `pac up`", 20)

    async def faults(scene: Scene[Detached]) -> Mapping[str, Figure]:
        while len(scene.load.accepted) < row.lowered // 2:  # noqa: ASYNC110 - the load has no event for it
            await asyncio.sleep(0.1)
        await asyncio.sleep(scene.random.uniform(0, 2))
        killed = await scene.ground.kill_everything()
        seconds = await scene.ground.up()
        return {"processes killed": killed, "up again after": f"{seconds:.1f} s"}

    await show(under(row, tmp_path, detached(tmp_path), faults, pace=0.5, at_most=row.lowered))


async def test_postgres_killed_again_and_again(tmp_path: Path, show: Show) -> None:
    row = Row(
        "postgres",
        "Postgres killed every 5 to 20 s, away up to 5 s",
        300,
        "the laws; 503 with Retry-After, never 500, no hang; GET and deploy are back within 10 s",
    )

    async def faults(scene: Scene[Bench]) -> Mapping[str, Figure]:
        running, load, random, outages, slowest = scene.ground, scene.load, scene.random, 0, 0.0
        while len(load.accepted) < row.lowered or outages < 2:
            await asyncio.sleep(random.uniform(5, 20))
            await running.away("postgres", random.uniform(0, 5))
            await running.back("postgres")
            back = await load.moving(seconds=BACK_SECONDS)
            running.note(f"postgres was away, all is back after {back:.1f} s")
            outages, slowest = outages + 1, max(slowest, back)
        return {"outages": outages, "slowest back": f"{slowest:.1f} s"}

    await show(under(row, tmp_path, bench(tmp_path), faults))


async def test_kafka_killed_paused_and_away(tmp_path: Path, show: Show) -> None:
    row = Row(
        "kafka",
        "Kafka killed 10 times, once away 60 s, once paused 30 s",
        300,
        "the laws; deployments are accepted meanwhile; consuming again within 30 s",
    )

    async def faults(scene: Scene[Bench]) -> Mapping[str, Figure]:
        running, load, random, slowest = scene.ground, scene.load, scene.random, 0.0
        kills, away, paused = row.times(10, least=2), row.times(60, least=15), row.times(30, least=15)
        meanwhile: dict[str, Figure] = {}

        async def accepted_during(name: str, seconds: float) -> None:
            before, what = len(load.accepted), running.pause if name == "paused" else running.away
            running.note(f"kafka is {name} for {seconds:g} s")
            await what("kafka", seconds)
            meanwhile[f"accepted while {name}"] = accepted = len(load.accepted) - before
            if not accepted:
                load.fault(f"nothing was accepted while kafka was {name}")

        for number in range(kills):
            await asyncio.sleep(random.uniform(5, 15))
            if number == kills // 3:
                await accepted_during("paused", paused)
            elif number == 2 * kills // 3:
                await accepted_during("away", away)
            await running.end("kafka")
            await running.back("kafka")
            again = await consuming(load, seconds=CONSUMING_SECONDS)
            running.note(f"consuming again after {again:.1f} s")
            slowest = max(slowest, again)
        return {"kills": kills, **meanwhile, "slowest consuming again": f"{slowest:.1f} s"}

    await show(under(row, tmp_path, bench(tmp_path), faults))


async def test_two_replicas_of_each_restarted_in_turn(tmp_path: Path, show: Show) -> None:
    row = Row("replicas", "two processes of each service, one restarted every 3 s", 300)

    async def faults(scene: Scene[Bench]) -> Mapping[str, Figure]:
        running, restarts, ended = scene.ground, 0, dict[str, int | None]()

        def pids() -> dict[str, int | None]:
            return {one.name: one.pid for one in running.local.supervisor.status() if one.ready}

        def not_alone() -> list[str]:
            up = {name for name, pid in pids().items() if pid != ended.get(name)}
            pairs = [(service, f"{service}-2") for service in SERVICES]
            return [name for pair in pairs if up.issuperset(pair) for name in pair]

        while len(scene.load.accepted) < row.lowered or restarts < 5:
            await asyncio.sleep(3)
            if candidates := not_alone():  # a busy machine starts them more slowly than they are ended
                name = scene.random.choice(candidates)
                ended[name] = pids()[name]
                await running.end(name, scene.random.choice([signal.SIGKILL, signal.SIGTERM]))
                restarts += 1
        return {"restarts": restarts}

    await show(under(row, tmp_path, bench(tmp_path, replicas=2), faults))


async def test_the_leader_of_two_paused_past_its_lease(tmp_path: Path, show: Show) -> None:
    row = Row(
        "paused-leader",
        "two processes of each service; the one that relays paused for longer than its lease",
        100,
        "the laws; the other one takes over; what goes on later moves nothing back and doubles nothing",
    )

    async def faults(scene: Scene[Bench]) -> Mapping[str, Figure]:
        running, load, world = scene.ground, scene.load, World.of(scene.ground.pac.status)
        services = [one for one in ServiceName if one is not ServiceName.GATEWAY]
        takeovers = row.times(8, least=2)
        for number in range(takeovers):
            service = services[number % len(services)]
            holder, token = await leader_of(world, service)
            pids = {one.pid: one.name for one in running.local.supervisor.status()}
            name = pids[int(holder.rpartition(":")[2])]
            running.note(f"{name}, which relays, is paused")
            await running.pause(name, scene.random.uniform(12, 16))
            successor, higher = await leader_of(world, service)
            if successor == holder or higher <= token:
                load.fault(f"nobody took over from {name}: {holder} {token}, then {successor} {higher}")
            stands = await place_of(world, service)
            await load.moving(seconds=30)
            if await place_of(world, service) < stands:
                load.fault(f"the checkpoint of {service.value} was moved back")
        return {"takeovers": takeovers}

    await show(under(row, tmp_path, bench(tmp_path, replicas=2), faults))


async def leader_of(world: World, service: ServiceName) -> tuple[str, int]:
    [(holder, token)] = await world.rows(service, "SELECT holder, token FROM log.leases WHERE name = 'relay'")
    return holder, token


async def place_of(world: World, service: ServiceName) -> tuple[int, int]:
    asked = "SELECT xid::text::bigint, position FROM log.checkpoints WHERE reader = 'relay'"
    [(xid, position)] = await world.rows(service, asked)
    return xid, position


async def test_any_process_killed_ended_and_paused(tmp_path: Path, show: Show) -> None:
    row = Row("any-process", "any process or server killed, ended or paused, one after the other", 200)

    async def faults(scene: Scene[Bench]) -> Mapping[str, Figure]:
        running, random, count = scene.ground, scene.random, row.times(40, least=5)
        names = [one.name for one in running.local.supervisor.status()]
        for _ in range(count):
            await asyncio.sleep(random.uniform(1, 6))
            name = random.choice(names)
            if random.random() < 0.3:
                running.note(f"{name} is paused")
                await running.pause(name, random.uniform(2, 12))
            else:
                await running.end(name, random.choice([signal.SIGKILL, signal.SIGTERM]))
        return {"faults": count}

    await show(under(row, tmp_path, bench(tmp_path), faults))
