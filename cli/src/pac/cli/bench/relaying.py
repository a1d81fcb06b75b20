"""The relay: how many events a second it says to Kafka, and how long after a commit a consumer hears of one."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import psycopg
from aiokafka import AIOKafkaProducer

from pac.cli.bench.append import INSERT, event_parameters, execute
from pac.cli.bench.ground import Ground
from pac.cli.bench.history import fill
from pac.cli.bench.listening import in_background, listening
from pac.cli.bench.measuring import OURS, Options, Result, paired, result, results_of_times
from pac.cli.local.topics import Topic, apply_topics
from pac.contracts.envelope import to_kafka
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Position, Relay, create_engine

FLOOD, IDLE, BARE = (f"bench.relay.{name}" for name in ("flood", "idle", "bare"))
PARTITIONS = 6
EVENTS_MAX = 20_000
APPENDS = 100
PAUSE_SECONDS = 0.005  # after each lone append: the relay has gone to sleep by the next
FLOOD_SECONDS = 120.0
SEND = "aiokafka, the same messages sent and awaited"
DIRECT = "psycopg insert, aiokafka send of what was inserted"
RESET = "UPDATE log.checkpoints SET xid = '0', position = 0 WHERE reader = 'relay'"

Message = tuple[bytes, bytes, list[tuple[str, bytes]]]


async def relay(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    servers = ground.stack.kafka_servers
    await apply_topics(servers, [Topic(name, PARTITIONS, 1) for name in (FLOOD, IDLE, BARE)])
    yield await _flood(ground, servers, options)
    for one in await _idle(ground, servers, options):
        yield one


# ---- many at once ----------------------------------------------------------------------------------------------------


async def _flood(ground: Ground, servers: str, options: Options) -> Result:
    database = await ground.database("bench_relay")
    events = await fill(database.migration_url, min(options.events, EVENTS_MAX))
    log = EventLog(create_engine(database.url), ServiceName.DEPLOYMENTS)
    try:
        messages = [to_kafka(envelope) for _, envelope in await log.read(Position(), events)]

        async def ours() -> float:
            async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
                await connection.execute(RESET)
            counting = _Counting(_producer(servers), events)
            async with in_background(Relay(log, FLOOD, lambda: counting).run), asyncio.timeout(FLOOD_SECONDS):
                seconds = await counting.seconds
                while await log.relay_backlog_seconds() > 0:  # noqa: ASYNC110 - the table says it
                    await asyncio.sleep(0.01)
            return events / seconds

        contenders = {OURS: ours, SEND: lambda: _sent(servers, messages)}
        await paired(1, contenders)
        return result("relay", "events/s", SEND, await paired(options.rounds, contenders))
    finally:
        await log.close()


async def _sent(servers: str, messages: list[Message]) -> float:
    producer = _producer(servers)
    await producer.start()
    try:
        began = time.perf_counter()
        sent = [await producer.send(BARE, value, key, headers=headers) for key, value, headers in messages]
        await asyncio.gather(*sent)
        return len(messages) / (time.perf_counter() - began)
    finally:
        await producer.stop()


class _Counting:
    """A producer that tells how long so many messages took, from its start to the last acknowledgement."""

    def __init__(self, producer: Any, expected: int) -> None:
        self.seconds: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._producer, self._left, self._began = producer, expected, 0.0

    async def start(self) -> None:
        await self._producer.start()
        self._began = time.perf_counter()

    async def stop(self) -> None:
        await self._producer.stop()

    async def send(
        self, topic: str, value: bytes, key: bytes, *, headers: list[tuple[str, bytes]]
    ) -> "asyncio.Future[Any]":
        acknowledged: asyncio.Future[Any] = await self._producer.send(topic, value, key, headers=headers)
        acknowledged.add_done_callback(self._one_less)
        return acknowledged

    def _one_less(self, _: "asyncio.Future[Any]") -> None:
        self._left -= 1
        if self._left == 0 and not self.seconds.done():
            self.seconds.set_result(time.perf_counter() - self._began)


# ---- one at a time ---------------------------------------------------------------------------------------------------


async def _idle(ground: Ground, servers: str, options: Options) -> list[Result]:
    ours_at, theirs_at = await ground.database("bench_idle"), await ground.database("bench_idle_peer")
    log = EventLog(create_engine(ours_at.url), ServiceName.DEPLOYMENTS)
    parameters = event_parameters()
    async with AsyncExitStack() as ends:
        ends.push_async_callback(log.close)
        connection = await psycopg.AsyncConnection.connect(theirs_at.url, autocommit=True)
        await ends.enter_async_context(connection)
        producer = _producer(servers)
        await producer.start()
        ends.push_async_callback(producer.stop)
        ear = await ends.enter_async_context(listening(servers, IDLE))
        await ends.enter_async_context(in_background(Relay(log, IDLE, lambda: _producer(servers)).run))

        async def ours() -> float:
            key = str(await execute(log))
            return await ear.heard_after(time.perf_counter(), key)

        async def direct() -> float:
            key = str(uuid4())
            await connection.execute(INSERT, (f"deployment-{key}", *parameters))
            committed = time.perf_counter()
            await producer.send(IDLE, parameters[2].encode(), key.encode())
            return await ear.heard_after(committed, key)

        contenders = {OURS: lambda: _times(ours), DIRECT: lambda: _times(direct)}
        await paired(1, contenders)
        return results_of_times("relay.lag", DIRECT, await paired(options.rounds, contenders))


async def _times(once: Callable[[], Awaitable[float]]) -> list[float]:
    found = []
    for _ in range(APPENDS):
        found.append(await once())
        await asyncio.sleep(PAUSE_SECONDS)
    return found


def _producer(servers: str) -> Any:
    """As the services' relays have it."""
    return AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, acks="all", linger_ms=0)
