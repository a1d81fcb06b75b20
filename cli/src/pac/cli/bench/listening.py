"""Hears in Kafka when something has happened, by key: no question is asked of PAC, so none slows it down."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer

HEARD_SECONDS = 120.0


class Ear:
    """Notes when the message of a key was heard."""

    def __init__(self) -> None:
        self._heard: dict[str, asyncio.Future[float]] = {}

    def note(self, key: str) -> None:
        future = self._of(key)
        if not future.done():
            future.set_result(time.perf_counter())

    async def heard_after(self, moment: float, key: str) -> float:
        """Seconds from the moment until the message of that key was heard, or is. Raises TimeoutError."""
        async with asyncio.timeout(HEARD_SECONDS):
            heard = await self._of(key)
        del self._heard[key]
        return heard - moment

    def _of(self, key: str) -> "asyncio.Future[float]":
        if key not in self._heard:
            self._heard[key] = asyncio.get_running_loop().create_future()
        return self._heard[key]


@asynccontextmanager
async def listening(servers: str, topic: str, of_type: bytes | None = None) -> AsyncIterator[Ear]:
    """From now on; with `of_type`, to events of that type alone."""
    consumer, ear = AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="latest"), Ear()

    async def listen() -> None:
        async for message in consumer:
            if of_type is None or ("ce_type", of_type) in message.headers:
                ear.note(message.key.decode())

    await consumer.start()
    try:
        for place in consumer.assignment():
            await consumer.position(place)  # else "now" is the first poll
        async with in_background(listen):
            yield ear
    finally:
        await consumer.stop()


@asynccontextmanager
async def in_background(work: Callable[[], Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Runs for as long as the block lasts. If it fails, that is raised at the block's end."""
    task = asyncio.create_task(work())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
