"""Two hundred clients that send a byte a second: each is sent away, and nobody else notices."""

import asyncio
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from yarl import URL

from pac.testkit.agents import packed_agent
from pac.testkit.pac_up import Pac, Tenant

SLOW, TENANTS = 200, 4
CLOSED_SECONDS = 60.0
FILE_PART = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.apkg"\r\n\r\n'


async def slow_body(pac: Pac, tenant: Tenant) -> bytes:
    """A deploy of which a byte comes every second. The status line of its answer; nothing if there is none."""
    url = URL(pac.url)
    reader, writer = await asyncio.open_connection(url.host, url.port)
    head = (
        f"POST /api/agent-apps/{tenant.app_id}/packages/deploy HTTP/1.1\r\nHost: {url.host}\r\n"
        f"Authorization: Bearer {tenant.key}\r\nContent-Type: multipart/form-data; boundary=x\r\n"
        "Content-Length: 5000000\r\n\r\n"
    )
    try:
        writer.write(head.encode() + FILE_PART)
        answered = asyncio.create_task(reader.readline())
        while not answered.done():
            with suppress(ConnectionError):
                writer.write(b"x")
            await asyncio.wait([answered], timeout=1.0)
        return answered.result()
    finally:
        writer.close()


@pytest.mark.timeout(180)
async def test_slow_bodies_are_closed_while_others_go_on(pac: Pac, tenant: Tenant, folder: Path) -> None:
    tenants = [await pac.tenant() for _ in range(TENANTS)]
    for one in tenants:
        await pac.credits_opened(one.key)
    began = time.monotonic()
    async with asyncio.timeout(CLOSED_SECONDS):
        async with asyncio.TaskGroup() as group:
            slow = [group.create_task(slow_body(pac, tenants[number % TENANTS])) for number in range(SLOW)]
            healthy, number = 0, 0
            while not all(task.done() for task in slow):
                accepted = await pac.deploy(tenant, packed_agent(folder, version=f"1.{number}.0"), f"1.{number}.0")
                assert accepted.status == 202, accepted
                shown = await pac.ended(accepted.body["deployment"]["id"], tenant.key)
                healthy, number = healthy + (shown["status"] == "completed"), number + 1
    assert Counter(task.result().split()[1:2][0] for task in slow) == {b"408": SLOW}
    assert healthy == number > 0
    assert time.monotonic() - began < CLOSED_SECONDS
