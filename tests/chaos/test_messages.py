"""Kafka repeats, shuffles and loses what it was given: `make test-chaos`. PAC_CHAOS_DEPLOYMENTS lowers each."""

import asyncio
import json
import shutil
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pac.cli.local.environment import Wiring
from pac.cli.local.process import ProcessSpec
from pac.cli.local.services import service_specs
from pac.contracts.topics import ServiceName
from pac.testkit.chaos import Bench, Load, Row, Scene, Show, bench, seed_of
from pac.testkit.chaos.scenario import laws_of, scene, told
from pac.testkit.chaos.schedule import draws
from pac.testkit.chaos.states import differences, final_states, heads_of, tables_of
from pac.testkit.holds import Figure
from pac.testkit.pac_up import command
from pac.testkit.whole import World

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]
TENANTS = 20


# ---- every message 1 to 3 times, shuffled ----------------------------------------------------------------------------


def repeating_services(seed: int) -> Any:
    def specs(wiring: Wiring, state_dir: Path, runtime_folder: Path, cache: Path) -> list[ProcessSpec]:
        made = service_specs(wiring, state_dir, runtime_folder, cache)
        return [
            replace(
                one,
                argv=(sys.executable, "-m", "pac.testkit.chaos.repeating", one.name),
                env={**one.env, "PAC_CHAOS_SEED": str(seed)},
            )
            if one.name in {service.value for service in ServiceName}
            else one
            for one in made
        ]

    return specs


@dataclass(frozen=True)
class Ran:
    scene: Scene[Bench]
    states: dict[str, Any]
    laws: list[str]
    seconds: float
    repeated: int


async def ran(row: Row, folder: Path, seed: int, *, repeating: bool) -> Ran:
    """Apps side by side, the deployments of each one after the other, so that only messages could change an end."""
    services = repeating_services(seed) if repeating else service_specs
    async with bench(folder, make_services=services) as running:
        random = draws(seed)
        load = Load(running, folder, random)
        await load.open(TENANTS)
        for number in range(0, TENANTS, 5):  # some have too few credits
            load.tenants[number] = await running.pac.tenant(credits=max(row.lowered // TENANTS // 2, 1))
            load.poor.append(load.tenants[number])
        await load.deploy_in_turn(row.lowered)
        await load.all_ended(seconds=900)
        seconds = running.seconds
        one = Scene(row, running, load, random, seed)
        laws = await laws_of(one, folder)
        states = await final_states(load)
        logs = [(running.local.stack.state.logs / f"{one.value}.log").read_text() for one in ServiceName]
        return Ran(one, states, laws, seconds, sum(text.count("messages_repeated") for text in logs))


async def test_messages_that_come_three_times_and_in_any_order(tmp_path: Path, show: Show) -> None:
    row = Row(
        "repeated",
        "every message delivered 1 to 3 times, shuffled",
        500,
        "the laws; the same final states, versions and balances as a clean run",
    )
    seed = seed_of()
    clean = await ran(row, tmp_path / "clean", seed, repeating=False)
    assert (clean.laws, clean.scene.load.faults) == ([], [])
    shuffled = await ran(row, tmp_path / "shuffled", seed, repeating=True)
    assert shuffled.repeated > 0
    other = differences(clean.states, shuffled.states)
    ends = sum(len(rows) for name, rows in shuffled.states.items() if name.endswith("deployments"))
    figures: dict[str, Figure] = {
        "ends compared": ends,
        "shuffled batches": shuffled.repeated,
        "until all ended": f"{shuffled.seconds:.0f} s",
        "in a clean run": f"{clean.seconds:.0f} s",
    }

    async def text() -> str:
        return told(shuffled.scene, figures, [*shuffled.laws, *other])

    await show(text())


# ---- a Kafka that has lost everything --------------------------------------------------------------------------------


async def operator(running: Bench, *arguments: str) -> Any:
    said = await command(*arguments, "-o", "json", "--state-dir", str(running.pac.state_dir))
    assert said.code == 0, said
    return json.loads(said.out)


async def lose_kafka(running: Bench) -> None:
    """Its whole folder, while the services run; afterwards an empty one serves, with the topics and nothing in them."""
    stack = running.local.stack
    await running.local.supervisor.stop("kafka")
    running.killed.append("kafka")
    await asyncio.to_thread(shutil.rmtree, stack.state.path / "kafka")
    assert stack._kafka is not None
    await running.local.supervisor.start(await asyncio.to_thread(stack._kafka.spec))
    applied = await command("topics", "apply", environment={"KAFKA_SERVERS": stack.kafka_servers})
    assert applied.code == 0, applied
    running.note("kafka is empty, the topics are made")


async def replay_all(running: Bench) -> int:
    replays = [await operator(running, "log", "replay", "--service", service.value) for service in ServiceName]
    return sum(one["published"] for one in replays)


async def test_kafka_loses_its_data_and_is_told_again(tmp_path: Path, show: Show) -> None:
    row = Row(
        "kafka-lost",
        "Kafka's data deleted while the services run, then `pac log replay`",
        60,
        "the laws; nothing changes twice; `pac log verify` finds everything sound",
    )

    async def text() -> str:
        async with bench(tmp_path) as running, scene(row, running, tmp_path) as one:
            load, world = one.load, World.of(running.pac.status)
            *old, fresh = load.tenants
            load.tenants = old
            await load.deploy(row.lowered)
            await load.all_ended(seconds=900)
            laws = await load.laws(seconds=60)
            heads, tables = await heads_of(world), await tables_of(world, old)

            await lose_kafka(running)
            load.tenants = [fresh]
            await load.deploy(3)  # accepted while nobody hears of it
            await running.lives_again(*(service.value for service in ServiceName))
            published = await replay_all(running)
            running.note(f"{published} events said again")
            await load.all_ended(seconds=200)
            laws += await load.laws(seconds=60)
            after = await heads_of(world)
            laws += differences(heads, {place: after.get(place) for place in heads})
            laws += differences(tables, await tables_of(world, old))

            await replay_all(running)
            laws += await load.laws(seconds=60)
            laws += differences(after, await heads_of(world))
            if not (await operator(running, "log", "verify"))["sound"]:
                laws.append("`pac log verify` finds something unsound")
        return told(one, {"events said again": published}, laws)

    await show(text())
