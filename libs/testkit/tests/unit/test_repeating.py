"""The producer that repeats and shuffles: every message at least once, told only when all of it is acknowledged."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from typing import Any

from pac.testkit.chaos.repeating import COPIES_MAX, Repeating
from pac.testkit.chaos.schedule import draws


class Broker:
    def __init__(self) -> None:
        self.said: list[bytes] = []
        self.away = False

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(self, _topic: str, value: bytes, **_: Any) -> Awaitable[None]:
        if self.away:
            raise ConnectionError("away")
        self.said.append(value)
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(told.set_result, None)
        return told


async def sent(producer: Repeating, count: int) -> list[Awaitable[Any]]:
    return [await producer.send("topic", str(number).encode(), b"key", headers=[]) for number in range(count)]


async def test_every_message_comes_one_to_three_times_in_another_order() -> None:
    broker = Broker()
    producer = Repeating(broker, draws(1))
    await asyncio.gather(*await sent(producer, 50))
    copies = Counter(broker.said)
    assert len(copies) == 50
    assert set(copies.values()) == set(range(1, COPIES_MAX + 1))
    assert list(dict.fromkeys(broker.said)) != sorted(copies, key=int)


async def test_the_same_seed_draws_the_same() -> None:
    said = []
    for _ in range(2):
        broker = Broker()
        await asyncio.gather(*await sent(Repeating(broker, draws(7)), 20))
        said.append(broker.said)
    assert said[0] == said[1]


async def test_what_is_not_taken_is_told_of_every_message() -> None:
    broker = Broker()
    broker.away = True
    told = await asyncio.gather(*await sent(Repeating(broker, draws(1)), 3), return_exceptions=True)
    assert [type(one) for one in told] == [ConnectionError] * 3
