"""The least that a deployment could cost: as many appends and Kafka hops, in five processes, and nothing else.

No inbox, no durable position of a relay, no identity, no work. POST /start appends and sends; who hears of it appends
and sends on, until the last hop is said on the topic of the ends. `python -m pac.cli.bench.floor` is one of the five.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from aiohttp import web
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from pac.cli.bench.loop import on_a_fast_loop, until_asked_to_stop
from pac.cli.local.probes import HOST

PROCESSES = 5
CONNECTIONS = 8
VARIABLE = "PAC_BENCH_FLOOR"
ENDS = "bench.floor.ends"
DATA = json.dumps({"type": "SomethingHappened", "padding": "x" * 360})
MAKE = """
CREATE TABLE IF NOT EXISTS floor_{number} (
    position bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stream text NOT NULL, version bigint NOT NULL,
    data jsonb NOT NULL, UNIQUE (stream, version))
"""
INSERT = "INSERT INTO floor_{number} (stream, version, data) VALUES (%s, %s, %s)"

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


def topic_of(number: int) -> str:
    return f"bench.floor.{number % PROCESSES}"


@dataclass(frozen=True)
class Place:
    """Which of the five a process is, and where everything is."""

    number: int
    port: int
    servers: str
    database_url: str

    def environment(self) -> dict[str, str]:
        """How a process is told; not by its arguments, because there is a password in it."""
        return {VARIABLE: json.dumps(asdict(self))}


@dataclass(frozen=True)
class Worker:
    place: Place
    connections: "asyncio.Queue[Connection]"
    producer: Any

    async def start(self, request: web.Request) -> web.Response:
        await request.read()
        await self.take(request.query["key"], 0, int(request.query["hops"]))
        return web.json_response({"status": "accepted"}, status=202)

    async def ready(self, _: web.Request) -> web.Response:
        return web.Response()

    async def take(self, key: str, hop: int, hops: int) -> None:
        """Appends, and says it to the next: what has been committed goes straight to Kafka."""
        connection = await self.connections.get()
        try:
            await connection.execute(INSERT.format(number=self.place.number).encode(), (f"d-{key}", hop + 1, DATA))
        finally:
            self.connections.put_nowait(connection)
        topic = ENDS if hop + 1 == hops else topic_of(self.place.number + 1)
        headers = [("hop", str(hop + 1).encode()), ("hops", str(hops).encode())]
        await self.producer.send(topic, DATA.encode(), key.encode(), headers=headers)

    async def hear(self, consumer: Any) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                for records in (await consumer.getmany(timeout_ms=5_000)).values():
                    for record in records:
                        told = dict(record.headers)
                        group.create_task(self.take(record.key.decode(), int(told["hop"]), int(told["hops"])))


@asynccontextmanager
async def _working(place: Place) -> AsyncIterator[None]:
    async with AsyncExitStack() as ends:
        connections: asyncio.Queue[Connection] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            connected = await psycopg.AsyncConnection.connect(place.database_url, autocommit=True)
            connections.put_nowait(await ends.enter_async_context(connected))
        producer = AIOKafkaProducer(bootstrap_servers=place.servers, enable_idempotence=True, acks="all", linger_ms=0)
        await producer.start()
        ends.push_async_callback(producer.stop)
        consumer = AIOKafkaConsumer(topic_of(place.number), bootstrap_servers=place.servers)
        await consumer.start()
        ends.push_async_callback(consumer.stop)
        for partition in consumer.assignment():
            await consumer.position(partition)  # from here on nothing is missed
        worker = Worker(place, connections, producer)
        app = web.Application()
        app.router.add_post("/start", worker.start)
        app.router.add_get("/readyz", worker.ready)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        ends.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, HOST, place.port).start()
        hearing = asyncio.create_task(worker.hear(consumer))
        ends.callback(hearing.cancel)
        yield


async def main() -> None:
    place = Place(**json.loads(os.environ[VARIABLE]))
    async with _working(place):
        await until_asked_to_stop()


if __name__ == "__main__":
    on_a_fast_loop(main())
