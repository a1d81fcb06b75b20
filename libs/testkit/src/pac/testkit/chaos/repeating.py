"""`python -m pac.testkit.chaos.repeating billing`: the service's process, whose messages go out 1 to 3 times, shuffled.

Only what the relay is given to send with is another: a producer that sends everything of a short while in a drawn
order, and says so only when every copy is acknowledged. PAC_CHAOS_SEED draws.
"""

import asyncio
import contextlib
import os
import runpy
import sys
from collections.abc import Awaitable
from random import Random
from typing import Any

import structlog

from pac.servicekit import broker, run
from pac.servicekit.settings import KafkaSettings
from pac.testkit.chaos.schedule import draws

logger = structlog.get_logger(__name__)
WINDOW_SECONDS = 0.25
COPIES_MAX = 3
Message = tuple[str, bytes, bytes, list[tuple[str, bytes]]]


class Repeating:
    """A relay's producer."""

    def __init__(self, producer: Any, random: Random) -> None:
        self._producer = producer
        self._random = random
        self._waiting: list[tuple[Message, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._producer.start()

    async def stop(self) -> None:
        if self._flushing is not None:
            self._flushing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._flushing
        await self._producer.stop()

    async def send(self, topic: str, value: bytes, key: bytes, *, headers: list[tuple[str, bytes]]) -> Awaitable[Any]:
        said: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(((topic, value, key, headers), said))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        return said

    async def _flush(self) -> None:
        """Everything that came within the window, and again as long as more has come meanwhile."""
        while self._waiting:
            await asyncio.sleep(WINDOW_SECONDS)
            batch, self._waiting = self._waiting, []
            copies = [each for each in batch for _ in range(self._random.randint(1, COPIES_MAX))]
            self._random.shuffle(copies)
            try:
                sent = [
                    await self._producer.send(topic, value, key=key, headers=headers)
                    for (topic, value, key, headers), _ in copies
                ]
                await asyncio.gather(*sent)
            except Exception as fault:  # noqa: BLE001 - the relay's to judge
                for _, said in batch:
                    if not said.done():
                        said.set_exception(fault)
            else:
                for _, said in batch:
                    if not said.done():
                        said.set_result(None)
                logger.info("messages_repeated", messages=len(batch), sent=len(copies))


def main(service: str) -> None:
    random = draws(f"{os.environ['PAC_CHAOS_SEED']} {service}")

    def repeating(settings: KafkaSettings) -> Repeating:
        return Repeating(broker.kafka_producer(settings), random)

    run.kafka_producer = repeating  # type: ignore[attr-defined] # the one place where a process gets its producer
    sys.argv[1:] = []
    runpy.run_module(f"pac.{service.replace('-', '_')}", run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
