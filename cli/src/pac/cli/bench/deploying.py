"""Deployments of a tiny package, from the request to the end, beside the floor with as many hops.

The runtime answers at once. The end is heard in Kafka, as the floor's is.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

import psycopg

from pac.cli.bench.customers import Customer, customers
from pac.cli.bench.flooring import Floor, floor
from pac.cli.bench.ground import Ground
from pac.cli.bench.listening import Ear, listening
from pac.cli.bench.measuring import OURS, Options, Result, paired, result, results_of_times
from pac.cli.bench.storage import storage
from pac.contracts.topics import ServiceName

WARM_UP = 8
BEFORE_THE_ANSWER = 3  # hops: submitted, queued, reserved
EVENTS = "SELECT recorded_at FROM log.events WHERE stream = ANY(%s)"
STREAMS = ("submission", "deployment", "hold", "delivery")
STORE = "storage"


@dataclass(frozen=True)
class Scene:
    """PAC and the floor, warm."""

    customers: list[Customer]
    ear: Ear
    floor: Floor
    hops: int

    @property
    def peer(self) -> str:
        return f"floor of {self.hops} hops"

    async def completed(self, customer: Customer) -> float:
        """Seconds from the request to the end."""
        began = time.perf_counter()
        return await self.ear.heard_after(began, await customer.deploy())

    async def rolled_back(self, customer: Customer) -> float:
        """Seconds from the request until the release before is current again."""
        began = time.perf_counter()
        return await self.ear.heard_after(began, await customer.rollback())

    async def accepted(self, customer: Customer) -> float:
        """Seconds from the request to its answer; returns when the deployment has ended, so that the next is alone."""
        began = time.perf_counter()
        deployment = await customer.deploy()
        seconds = time.perf_counter() - began
        await self.ear.heard_after(began, deployment)
        return seconds


async def accept(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    async with _scene(ground, 1) as scene:
        (customer,) = scene.customers
        peer = f"floor of {BEFORE_THE_ANSWER} hops"
        contenders = {
            OURS: lambda: _one_by_one(options.deployments, lambda: scene.accepted(customer)),
            peer: lambda: _one_by_one(options.deployments, lambda: scene.floor.once(BEFORE_THE_ANSWER)),
        }
        for one in results_of_times("accept", peer, await paired(options.rounds, contenders)):
            yield one


async def completed(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    async with _scene(ground, 1) as scene, storage(ground, scene.customers[0].shop) as store:
        (customer,) = scene.customers
        contenders = {
            OURS: lambda: _one_by_one(options.deployments, lambda: scene.completed(customer)),
            scene.peer: lambda: _one_by_one(options.deployments, lambda: scene.floor.once(scene.hops)),
            STORE: lambda: _one_by_one(options.deployments, store.once),
        }
        await _one_by_one(WARM_UP, store.once)
        rounds = await paired(options.rounds, contenders)
        results = results_of_times("completed", scene.peer, rounds)
        stored = results_of_times("completed", STORE, rounds)[0]
        for one in results:
            yield one
        # The goal takes off what any control plane must spend on bytes: store, copy, read back, look into the archive.
        pairs = [
            (ours - spent, theirs) for (ours, theirs), (_, spent) in zip(results[0].pairs, stored.pairs, strict=True)
        ]
        yield Result("completed.p50.without_storage", "ms", scene.peer, tuple(pairs))


async def rollback(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    """Back and forth between two releases. What a runtime needs to start the agent comes on top, here it is nothing."""
    async with _scene(ground, 1) as scene:
        (customer,) = scene.customers
        first = await customer.rollback()
        await scene.ear.heard_after(time.perf_counter(), first)
        hops = await _hops(ground, first)
        peer = f"floor of {hops} hops"
        contenders = {
            OURS: lambda: _one_by_one(options.deployments, lambda: scene.rolled_back(customer)),
            peer: lambda: _one_by_one(options.deployments, lambda: scene.floor.once(hops)),
        }
        for one in results_of_times("rollback", peer, await paired(options.rounds, contenders)):
            yield one


async def throughput(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    """A deployment per app at a time: those of one app would overtake each other."""
    async with _scene(ground, options.in_flight) as scene:

        async def ours() -> float:
            return await _side_by_side([partial(scene.completed, one) for one in scene.customers])

        async def theirs() -> float:
            return await _side_by_side([partial(scene.floor.once, scene.hops)] * options.in_flight)

        peer = f"{scene.peer}, {options.in_flight} in flight"
        contenders = {OURS: ours, peer: theirs}
        await paired(1, contenders)
        yield result("throughput", "completed/s", peer, await paired(options.rounds, contenders))


async def _one_by_one(times: int, once: Callable[[], Awaitable[float]]) -> list[float]:
    return [await once() for _ in range(times)]


async def _side_by_side(work: list[Callable[[], Awaitable[float]]], each: int = 2) -> float:
    """All at once, each so many times in a row; how many a second."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(_one_by_one(each, one))
    return len(work) * each / (time.perf_counter() - began)


@asynccontextmanager
async def _scene(ground: Ground, apps: int) -> AsyncIterator[Scene]:
    async with AsyncExitStack() as ends:
        found = await ends.enter_async_context(customers(ground.whole, apps))
        package = found[0].shop.package("1.0.0")
        beside = await ends.enter_async_context(floor(ground, package))
        topic = ServiceName.DEPLOYMENTS.topic
        ear = await ends.enter_async_context(listening(ground.stack.kafka_servers, topic, b"DeploymentCompleted"))
        deployment = ""
        for _ in range(WARM_UP):
            began, deployment = time.perf_counter(), await found[0].deploy()
            await ear.heard_after(began, deployment)
            await beside.once(BEFORE_THE_ANSWER)
        yield Scene(found, ear, beside, await _hops(ground, deployment))


async def _hops(ground: Ground, deployment: str) -> int:
    """How often Kafka was in between until the end was heard: wherever two events in a row are of two services."""
    told: list[tuple[object, ServiceName]] = []
    streams = [f"{category}-{deployment}" for category in STREAMS]
    for service in ServiceName:
        url = f"{ground.stack.postgres_url.rpartition('/')[0]}/{service.module}"
        async with await psycopg.AsyncConnection.connect(url) as connection:
            found = await (await connection.execute(EVENTS, (streams,))).fetchall()
            told += [(at, service) for (at,) in found]
    services = [service for _, service in sorted(told, key=lambda one: (one[0], one[1]))]
    return sum(one is not other for one, other in pairwise(services)) + 1
