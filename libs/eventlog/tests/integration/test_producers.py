"""A producer that is cancelled on its way leaves nothing behind."""

import asyncio
import contextlib
import gc
import warnings

from aiokafka import AIOKafkaProducer

from pac.eventlog.producers import start, stop
from pac.testkit.kafka import KafkaServer


async def test_a_start_that_is_cancelled_leaves_no_connection(kafka: KafkaServer) -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        for turns in range(300):  # of the loop, until it is cancelled
            producer = AIOKafkaProducer(bootstrap_servers=kafka.servers, enable_idempotence=True, acks="all")
            starting = asyncio.create_task(start(producer))
            for _ in range(turns):
                await asyncio.sleep(0)
            starting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await starting
            await stop(producer)
            del producer, starting
        gc.collect()
    assert [str(one.message) for one in found if "Unclosed" in str(one.message)] == []
