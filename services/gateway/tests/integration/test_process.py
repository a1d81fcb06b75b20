"""`python -m pac.gateway` as it is started in earnest: with Kafka, its own memory, SIGTERM."""

import asyncio
import base64
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import aiohttp
from aiohttp import web

from pac.testkit.kafka import KafkaServer

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Stage

MIB = 1_048_576
ADMIN_KEY = "operator-of-the-tests"
CHUNK = bytes(65_536)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@dataclass(frozen=True)
class Process:
    process: asyncio.subprocess.Process
    port: int
    second_port: int
    admin_port: int
    output: Path

    @property
    def rss_bytes(self) -> int:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    @property
    def said(self) -> str:
        return self.output.read_text()


@asynccontextmanager
async def started(stage: "Stage", kafka_servers: str, output: Path) -> AsyncIterator[Process]:
    ports = [free_port() for _ in range(3)]
    environment = {
        "PATH": os.environ["PATH"],
        "KAFKA_SERVERS": kafka_servers,
        "GATEWAY_DATABASE_URL": stage.database.url,
        "GATEWAY_PORT": str(ports[0]),
        "GATEWAY_SECOND_PORT": str(ports[1]),
        "GATEWAY_ADMIN_PORT": str(ports[2]),
        "GATEWAY_ADMIN_KEY": ADMIN_KEY,
        "GATEWAY_KEY_PEPPER": "pepper-of-the-tests",
        "GATEWAY_IDENTITY_KEY": base64.b64encode(bytes(range(32))).decode(),
        "GATEWAY_PUBLIC_URL": f"http://localhost:{ports[0]}",
        "GATEWAY_PACKAGES_URL": stage.packages.url,
        "GATEWAY_DEPLOYMENTS_URL": stage.deployments.url,
        "GATEWAY_BILLING_URL": stage.billing.url,
        "GATEWAY_RUNTIME_NOTIFIER_URL": "http://127.0.0.1:9",
    }
    with output.open("w") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "pac.gateway", env=environment, stdout=log, stderr=log
        )
    try:
        yield Process(process, ports[0], ports[1], ports[2], output)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_process_serves_tells_and_ends(own_stage: "Stage", kafka: KafkaServer, tmp_path: Path) -> None:
    stage = own_stage

    async def count(request: web.Request) -> web.StreamResponse:
        return web.json_response({"size": sum([len(chunk) async for chunk in request.content.iter_any()])})

    async def hundred() -> AsyncIterator[bytes]:
        for _ in range(100 * MIB // len(CHUNK)):
            yield CHUNK

    stage.packages.handle = count
    # One of the gateways of the test sees to the tenant, the other is the process.
    mine = await stage.gateway.account()
    bearer = {"Authorization": f"Bearer {mine.key}"}
    upload = f"/api/agent-apps/{mine.app_id}/packages/deploy"
    async with started(stage, kafka.servers, tmp_path / "log") as gateway, aiohttp.ClientSession() as http:

        async def ready() -> bool:
            assert gateway.process.returncode is None, gateway.said
            try:
                async with http.get(f"http://127.0.0.1:{gateway.admin_port}/readyz") as answer:
                    return answer.status == 200
            except aiohttp.ClientConnectionError:
                return False

        await stage.until(ready, seconds=30)
        for port in (gateway.port, gateway.second_port):
            async with http.get(f"http://127.0.0.1:{port}/api/agent-apps", headers=bearer) as answer:
                assert answer.status == 200
        small = await http.post(f"http://127.0.0.1:{gateway.port}{upload}", headers=bearer, data=CHUNK)
        assert await small.json() == {"size": len(CHUNK)}
        before = gateway.rss_bytes
        sent = asyncio.create_task(
            http.post(f"http://127.0.0.1:{gateway.port}{upload}", headers=bearer, data=hundred()).__aenter__()
        )
        peak = before
        while not sent.done():
            peak = max(peak, gateway.rss_bytes)
            await asyncio.wait({sent}, timeout=0.005)
        assert await (await sent).json() == {"size": 100 * MIB}
        assert peak - before < 16 * MIB

        async def told() -> bool:
            return len(await kafka.records("gateway.events")) >= 3

        await stage.until(told, seconds=30)
        records = await kafka.records("gateway.events")
        assert {dict(record.headers)["ce_type"] for record in records} == {
            b"AccountOpened",
            b"ApiKeyCreated",
            b"AgentAppCreated",
        }
        assert {UUID(record.key.decode()) for record in records} == {
            mine.account_id,
            UUID(mine.key_id),
            UUID(mine.app_id),
        }
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(gateway.process.wait(), 10) == 0
        for secret in (mine.key, ADMIN_KEY, "pepper-of-the-tests", "test_gateway:"):
            assert secret not in gateway.said
