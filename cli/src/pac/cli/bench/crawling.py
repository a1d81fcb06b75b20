"""Healthy requests beside 200 clients that send a byte of a package a second, and without them."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

from pac.cli.bench.customers import APPS_PER_ACCOUNT, Customer, customers
from pac.cli.bench.ground import Ground
from pac.cli.bench.measuring import OURS, Options, Result, paired, results_of_times

SLOW, ACCOUNTS = 200, 4  # fifty uploads at once of one account: it may have a hundred
BETWEEN_SECONDS = 0.05
HEALTHY = 400  # so that four of them are beyond the p99
CALM = "the same requests without them"
PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="agent.apkg"\r\n\r\n'


async def slow_bodies(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    """Reads of a deployment that has ended, one after the other: what a client does that waits."""
    async with customers(ground.whole, (ACCOUNTS + 1) * APPS_PER_ACCOUNT) as found:
        healthy, *others = found[::APPS_PER_ACCOUNT]
        path = f"/api/deployments/{await healthy.deploy()}"

        async def beside() -> list[float]:
            async with crawling(others):
                return await _times(healthy, path)

        contenders = {OURS: beside, CALM: lambda: _times(healthy, path)}
        await paired(1, contenders)
        for one in results_of_times("slow_bodies", CALM, await paired(options.rounds, contenders)):
            yield one


async def _times(customer: Customer, path: str) -> list[float]:
    found = list[float]()
    for _ in range(HEALTHY):
        began = time.perf_counter()
        await customer.gateway.call("GET", path)
        found.append(time.perf_counter() - began)
    return found


@asynccontextmanager
async def crawling(others: list[Customer]) -> AsyncIterator[None]:
    """All of them have begun when it is entered, one after the other. One that PAC has sent away comes again."""
    begun = asyncio.Semaphore(0)
    tasks = [
        asyncio.create_task(_crawl(others[number % len(others)], begun, number * BETWEEN_SECONDS))
        for number in range(SLOW)
    ]
    try:
        for _ in tasks:
            await begun.acquire()
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _crawl(customer: Customer, begun: asyncio.Semaphore, after_seconds: float) -> None:
    await asyncio.sleep(after_seconds)  # else all of them would be sent away, and come again, at once
    while True:
        await _one_body(customer, begun)


async def _one_body(customer: Customer, begun: asyncio.Semaphore) -> None:
    address = urlsplit(customer.gateway.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    head = (
        f"POST /api/agent-apps/{customer.app_id}/packages/deploy HTTP/1.1\r\nHost: {address.netloc}\r\n"
        f"Authorization: Bearer {customer.gateway.key}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        "Content-Length: 5000000\r\n\r\n"
    )
    try:
        writer.write(head.encode() + PART)
        begun.release()
        answered = asyncio.create_task(reader.read(1))
        try:
            while not answered.done():
                with suppress(ConnectionError):
                    writer.write(b"x")
                await asyncio.wait([answered], timeout=1.0)
        finally:
            answered.cancel()
    finally:
        writer.close()
