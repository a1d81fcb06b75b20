"""Drives the floor: starts its five processes beside PAC, and sends deployments of nothing through them."""

import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from uuid import uuid4

import aiohttp
import psycopg

from pac.cli.bench.floor import ENDS, MAKE, PROCESSES, Place, topic_of
from pac.cli.bench.ground import Ground
from pac.cli.bench.listening import Ear, listening
from pac.cli.local.ports import free_port
from pac.cli.local.probes import HOST, HttpProbe
from pac.cli.local.process import ProcessSpec
from pac.cli.local.records import Records
from pac.cli.local.supervisor import Supervisor
from pac.cli.local.topics import Topic, apply_topics

PARTITIONS = 6


@dataclass(frozen=True)
class Floor:
    http: aiohttp.ClientSession
    url: str
    ear: Ear
    body: bytes

    async def once(self, hops: int) -> float:
        """Seconds from the request until its last hop was heard here."""
        key, began = str(uuid4()), time.perf_counter()
        async with self.http.post(self.url, params={"key": key, "hops": str(hops)}, data=self.body) as answer:
            answer.raise_for_status()
        return await self.ear.heard_after(began, key)


@asynccontextmanager
async def floor(ground: Ground, body: bytes) -> AsyncIterator[Floor]:
    """`body` is what each request carries: as much as a request of ours."""
    servers = ground.stack.kafka_servers
    topics = [*(topic_of(number) for number in range(PROCESSES)), ENDS]
    await apply_topics(servers, [Topic(name, PARTITIONS, 1) for name in topics])
    database = await ground.stack.create_database("bench_floor")
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        for number in range(PROCESSES):
            await connection.execute(MAKE.format(number=number).encode())
    ports: list[int] = []
    for _ in range(PROCESSES):
        ports.append(free_port(ports))
    places = [Place(number, port, servers, database.url) for number, port in enumerate(ports)]
    supervisor = Supervisor(Records(ground.stack.state.path / "floor.json"))  # PAC's own knows its processes by name
    async with AsyncExitStack() as ends:
        ends.push_async_callback(supervisor.stop_all)
        await supervisor.start(*(_spec(ground, one) for one in places))
        ear = await ends.enter_async_context(listening(servers, ENDS))
        connector = aiohttp.TCPConnector(limit=0)
        http = await ends.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Floor(http, f"http://{HOST}:{ports[0]}/start", ear, body)


def _name(place: Place) -> str:
    return f"floor-{place.number}"


def _spec(ground: Ground, place: Place) -> ProcessSpec:
    state = ground.stack.state
    return ProcessSpec(
        name=_name(place),
        argv=(sys.executable, "-m", "pac.cli.bench.floor"),
        env={"PYTHONUNBUFFERED": "1", **place.environment()},
        cwd=state.path,
        log_file=state.logs / f"{_name(place)}.log",
        ready=HttpProbe(place.port),
    )
