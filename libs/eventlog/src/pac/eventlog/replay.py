"""The log said to Kafka once more, for brokers that lost what they had and for consumers that are new.

Consumers drop what they know by their inbox. Only what the relay has said already is said again: the rest is still the
relay's, so nothing is said out of order, and the service may run or not.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiokafka.errors import KafkaError

from pac.contracts.base import Event
from pac.contracts.envelope import Envelope, to_kafka
from pac.eventlog.checkpoints import STANDS
from pac.eventlog.engine import driver_of
from pac.eventlog.log import EventLog
from pac.eventlog.producers import Producer
from pac.eventlog.reading import position_of
from pac.eventlog.relay import Relay
from pac.eventlog.types import Position

BATCH_SIZE = 500
# The first in reading order of all events from a position on: some before it in the log's order may come along.
BEFORE = """
SELECT e.xid::text, e.position FROM log.events AS e, (
    SELECT xid, position FROM log.events WHERE position >= %s ORDER BY xid, position LIMIT 1) AS first
WHERE (e.xid, e.position) < (first.xid, first.position) ORDER BY e.xid DESC, e.position DESC LIMIT 1
"""
HAS_ANY = "SELECT 1 FROM log.events WHERE position >= %s LIMIT 1"
COUNT = "SELECT count(*) FROM log.events WHERE (xid, position) > (%s::xid8, %s) AND (xid, position) <= (%s::xid8, %s)"


class KafkaAway(ConnectionError):  # noqa: N818 - says what is the matter
    """The broker did not take everything. To replay once more is harmless."""


async def replay(
    log: EventLog,
    topic: str,
    producer: Callable[[], Producer],
    *,
    from_position: int = 0,
    told: Callable[[int, int], None] = lambda _done, _total: None,
) -> int:
    """The number of events said. `told` hears how many are said, of how many. Raises KafkaAway."""
    after, until = await _range(log, from_position)
    total, done = await _count(log, after, until), 0
    async with _started(producer()) as client:
        while batch := [one for one in await log.read(after, BATCH_SIZE) if one[0] <= until]:
            await _say(client, topic, [envelope for _, envelope in batch])
            after, done = batch[-1][0], done + len(batch)
            told(done, max(total, done))
    return done


async def _range(log: EventLog, from_position: int) -> tuple[Position, Position]:
    async with log.reading() as connection:
        driver = await driver_of(connection)
        relayed = await (await driver.execute(STANDS, (Relay.name,))).fetchone()
        until = position_of(*relayed) if relayed else Position()
        if await (await driver.execute(HAS_ANY, (from_position,))).fetchone() is None:
            return until, until
        before = await (await driver.execute(BEFORE, (from_position,))).fetchone()
        return position_of(*before) if before else Position(), until


async def _count(log: EventLog, after: Position, until: Position) -> int:
    async with log.reading() as connection:
        asked: tuple[Any, ...] = (str(after.xid), after.number, str(until.xid), until.number)
        found = await (await (await driver_of(connection)).execute(COUNT, asked)).fetchone()
        return int(found[0]) if found else 0


@asynccontextmanager
async def _started(producer: Producer) -> AsyncIterator[Producer]:
    try:
        try:
            await producer.start()
            yield producer
        finally:
            await producer.stop()
    except KafkaError as away:
        raise KafkaAway(f"Kafka does not answer ({type(away).__name__})") from away


async def _say(producer: Producer, topic: str, envelopes: Sequence[Envelope[Event]]) -> None:
    """Returns when the broker has all of them."""
    acknowledged: list[Awaitable[Any]] = []
    for envelope in envelopes:
        key, value, headers = to_kafka(envelope)
        acknowledged.append(await producer.send(topic, value, key, headers=headers))
    await asyncio.gather(*acknowledged)
