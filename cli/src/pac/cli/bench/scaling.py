"""What a deployment costs in an account that has many already: three PACs side by side, each with more than the last.

Processor time of all its processes, servers included: that hardly depends on what else the machine does.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID

import psutil

from pac.cli.bench.crowding import Crowd
from pac.cli.bench.customers import APPS_PER_ACCOUNT, Customer, customers
from pac.cli.bench.ground import Ground, Needs, ground
from pac.cli.bench.listening import Ear, listening
from pac.cli.bench.measuring import Options, Result, paired
from pac.cli.local.pac import LocalPac
from pac.contracts.topics import ServiceName

SHARES = (100, 10, 1)  # of the most
WARM_UP = 3


@dataclass(frozen=True)
class Crowded:
    """A PAC whose account has so many deployments behind it."""

    existing: int
    pac: LocalPac
    apps: list[Customer]
    ear: Ear

    async def deploy(self, times: int) -> float:
        """Milliseconds of processor time for each; one at a time of each app."""
        before = processor_seconds(self.pac)
        async with asyncio.TaskGroup() as group:
            for one in self.apps:
                group.create_task(self.one_by_one(one, times))
        return (processor_seconds(self.pac) - before) / (times * len(self.apps)) * 1000

    async def one_by_one(self, app: Customer, times: int) -> str:
        """The last one's id."""
        deployment = ""
        for _ in range(times):
            deployment = await app.deploy()
            await self.ear.heard_after(0.0, deployment)
        return deployment


async def scale(servers: Ground, options: Options) -> AsyncGenerator[Result]:
    sizes = [max(options.existing // share, APPS_PER_ACCOUNT) for share in SHARES]
    async with AsyncExitStack() as ends:
        scenes = [await ends.enter_async_context(_crowded(servers, sizes[0]))]
        for size in sizes[1:]:
            beside = await ends.enter_async_context(ground(Needs.PAC, lambda _: None))
            scenes.append(await ends.enter_async_context(_crowded(beside, size)))
        times = max(options.deployments // APPS_PER_ACCOUNT, 1)
        contenders = {str(one.existing): partial(one.deploy, times) for one in scenes}
        await paired(1, contenders)
        rounds = await paired(options.rounds, contenders)
        for size in sizes[1:]:
            pairs = tuple((one[str(size)], one[str(sizes[0])]) for one in rounds)
            yield Result(f"scale.{size}", "ms of processor", f"{sizes[0]:,} deployments in the account", pairs)


@asynccontextmanager
async def _crowded(servers: Ground, existing: int) -> AsyncIterator[Crowded]:
    topic = ServiceName.DEPLOYMENTS.topic
    async with (
        customers(servers.whole, APPS_PER_ACCOUNT) as apps,
        listening(servers.stack.kafka_servers, topic, b"DeploymentCompleted") as ear,
    ):
        scene = Crowded(existing, servers.whole, apps, ear)
        for app in apps:
            original = await scene.one_by_one(app, 1)
            await scene.one_by_one(app, WARM_UP)
            await Crowd(servers.stack.postgres_url, UUID(original)).copy(existing // len(apps))
        yield scene


def processor_seconds(pac: LocalPac) -> float:
    """Of all its processes, and of those that ended below them."""
    total = 0.0
    for one in pac.supervisor.status():
        if one.pid is None:
            continue
        process = psutil.Process(one.pid)
        for each in (process, *process.children(recursive=True)):
            try:
                total += sum(each.cpu_times()[:4])  # its own and its ended children's, user and system
            except psutil.NoSuchProcess:
                continue  # its parent tells of it from now on
    return total
