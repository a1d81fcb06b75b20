"""A Kafka producer's beginning and end, so that no connection is left whatever happens in between.

For those that may be cancelled or lose the broker at any time: the relay and the dead letters.
"""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any, Protocol

import structlog
from aiokafka.errors import KafkaError

logger = structlog.get_logger(__name__)
STOP_TIMEOUT_SECONDS = 3.0


class Producer(Protocol):
    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def send(
        self, topic: str, value: bytes, key: bytes, *, headers: list[tuple[str, bytes]]
    ) -> Awaitable[Any]: ...


async def start(producer: Producer) -> None:
    """Raises KafkaError or OSError. A start that is cancelled comes to its end: aiokafka forgets its connection."""
    starting = asyncio.ensure_future(producer.start())
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        with suppress(KafkaError, OSError):
            async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
                await starting
        raise


async def stop(producer: Producer) -> None:
    """Stopping flushes, which may never end while the broker is away."""
    try:
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await producer.stop()
    except (KafkaError, OSError):
        logger.warning("producer_not_stopped_cleanly")
