"""How far each service has come in what the others say, as its inbox counts it."""

import asyncio

from pac.contracts.topics import ServiceName
from pac.testkit.chaos.load import Load
from pac.testkit.eventually import eventually
from pac.testkit.whole import HEARS, World

HEARD = "SELECT coalesce(sum(version), 0)::bigint FROM log.inbox"


async def heard(world: World) -> dict[ServiceName, int]:
    return {consumer: (await world.rows(consumer, HEARD))[0][0] for consumer in HEARS}


async def consuming(load: Load, *, seconds: float) -> float:
    """How long it takes until every consumer has heard something new; a fault if too long. There must be a load."""
    world, loop = World.of(load.bench.pac.status), asyncio.get_running_loop()
    began, before = loop.time(), await heard(world)

    async def all_have() -> bool:
        await asyncio.sleep(0.2)
        now = await heard(world)
        return all(now[consumer] > before[consumer] for consumer in before)

    try:
        await eventually(all_have, seconds=seconds)
    except TimeoutError:
        now = await heard(world)
        deaf = [consumer.value for consumer in before if now[consumer] <= before[consumer]]
        load.fault(f"{', '.join(deaf)} heard nothing for {seconds:g} s after Kafka was back")
    return loop.time() - began
