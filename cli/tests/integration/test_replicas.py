"""Two real processes of every service: what a client notices when one of them goes, and what becomes of its work."""

import asyncio
import json
import os
import random
import re
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientConnectionError, ClientPayloadError, ClientSession, ClientTimeout, TCPConnector

from pac.cli.local.ports import free_port
from pac.testkit.agents import packed_agent
from pac.testkit.eventually import eventually
from pac.testkit.laws import laws_hold
from pac.testkit.ledger import money_holds
from pac.testkit.pac_up import Answer, Pac, Tenant, pac_up

SERVICES = ("gateway", "packages", "deployments", "billing", "runtime-notifier")
REPLICAS = tuple(f"{service}{number}" for service in SERVICES for number in ("", "-2"))
CLIENTS, EACH = 8, 5
KILLING_SECONDS, PAUSE_SECONDS = 18.0, 3.0
# All clients have one address here, and they ask in a hurry what needs no key, or with one that is revoked.
ENVIRONMENT = {
    f"GATEWAY_{policy}_REQUESTS_{size}": "10000" for policy in ("PUBLIC", "REFUSED") for size in ("PER_SECOND", "BURST")
}


@pytest.fixture(scope="module")
async def pac(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pac]:
    folder = tmp_path_factory.mktemp("replicas")
    environment, options = ENVIRONMENT | {"GATEWAY_PORT": str(free_port())}, ("--replicas", "2")
    async with pac_up(folder / "state", environment=environment, options=options) as pac:
        yield pac


@dataclass
class Processes:
    """What the supervisor says of them, as `pac status` reads it."""

    pac: Pac
    gone: list[str] = field(default_factory=list)
    ended: dict[str, int] = field(default_factory=dict)

    def all(self) -> dict[str, dict[str, Any]]:
        status = json.loads((self.pac.state_dir / "status.json").read_text())
        return {one["name"]: one for one in status["processes"]}

    def end(self, name: str, number: signal.Signals) -> int:
        """Its pid until now. The supervisor starts it again."""
        before = self.all()[name]["pid"]
        self.gone.append(f"{number.name} {name}")
        os.kill(before, number)
        self.ended[name] = before
        return int(before)

    def is_back(self, name: str) -> bool:
        now = self.all()[name]
        return bool(now["ready"]) and now["pid"] != self.ended.get(name)

    def not_alone(self) -> list[str]:
        """Those whose other one would be left."""
        back = {name: self.is_back(name) for name in REPLICAS}
        pairs = [(service, f"{service}-2") for service in SERVICES]
        return [name for pair in pairs for name in pair if all(back[one] for one in pair)]


@dataclass
class Client:
    """Keeps its connections as a browser does. `faults` are what it should not have seen."""

    pac: Pac
    tenant: Tenant
    faults: list[str] = field(default_factory=list)
    cut_off: list[str] = field(default_factory=list)

    async def ask(self, method: str, path: str, **options: Any) -> Answer | None:
        """None when the connection ended without an answer."""
        began = time.monotonic()
        try:
            return await self.pac.call(method, path, self.tenant.key, **options)
        except (ClientConnectionError, ClientPayloadError) as fault:
            self.cut_off.append(f"{method} {path} after {time.monotonic() - began:.1f} s: {fault!r}")
            return None

    async def read(self, path: str) -> Answer | None:
        answer = await self.ask("GET", path)
        if answer is not None and answer.status != 200:
            self.faults.append(f"GET {path}: {answer.status} {answer.body}")
        return answer

    async def deploy(self, package: Path, version: str) -> str | None:
        """The deployment, if it was accepted."""
        began = time.monotonic()
        try:
            answer = await self.pac.deploy(self.tenant, package, version)
        except ClientConnectionError as fault:
            self.cut_off.append(f"POST {version} after {time.monotonic() - began:.1f} s: {fault!r}")
            return None
        if answer.status != 202:
            self.faults.append(f"POST {version}: {answer.status} {answer.body}")
            return None
        return str(answer.body["deployment"]["id"])


async def _now(names: list[str]) -> list[str]:
    return names


@asynccontextmanager
async def client_of(pac: Pac) -> AsyncIterator[Client]:
    tenant = await pac.tenant()
    await pac.credits_opened(tenant.key)
    async with ClientSession(timeout=ClientTimeout(total=60), connector=TCPConnector()) as http:
        yield Client(Pac(pac.status, http), tenant)


async def test_every_service_has_two_processes_behind_one_port(pac: Pac) -> None:
    processes = Processes(pac).all()
    assert processes.keys() == {"postgres", "kafka", "s3", *REPLICAS, "runtime"}
    assert pac.status["admin_urls"].keys() == set(REPLICAS)
    assert len({one["pid"] for one in processes.values()}) == len(processes)

    async def served(name: str) -> float:
        answer = await pac.call("GET", f"{pac.status['admin_urls'][name]}/metrics")
        counts = re.findall(r'request_duration_seconds_count\{.*route="/api/credits".*\} (\S+)', answer.body)
        return sum(map(float, counts))

    async def all_served() -> bool:
        for _ in range(8):
            async with ClientSession() as http:  # another connection, which may come to another gateway
                assert (await Pac(pac.status, http).call("GET", "/api/credits", pac.status["api_key"])).status == 200
        return all([await served(name) > 0 for name in ("gateway", "gateway-2", "billing", "billing-2")])

    await eventually(all_served)


async def test_a_revoked_key_opens_no_gateway_after_five_seconds(pac: Pac) -> None:
    tenant = await pac.tenant()

    async def asked() -> list[int]:
        statuses = []
        for _ in range(12):  # of two gateways one is missed once in two thousand times
            async with ClientSession() as http:
                statuses.append((await Pac(pac.status, http).call("GET", "/api/agent-apps", tenant.key)).status)
        return statuses

    assert set(await asked()) == {200}
    keys = await pac.call("GET", "/api/api-keys", tenant.key)
    revoked = await pac.call("DELETE", f"/api/api-keys/{keys.body['api_keys'][0]['id']}", tenant.key)
    assert revoked.status in (200, 204), revoked
    at = time.monotonic()

    async def closed() -> bool:
        return set(await asked()) == {401}

    await eventually(closed, seconds=6)
    assert time.monotonic() - at < 5.5  # and what asking takes


@pytest.mark.timeout(120)
async def test_one_that_is_stopped_takes_no_request_along(pac: Pac, tmp_path: Path) -> None:
    processes, over = Processes(pac), asyncio.Event()
    async with client_of(pac) as one, client_of(pac) as other:

        async def reads(client: Client) -> None:
            while not over.is_set():
                await client.read("/api/credits")
                await client.read(f"/api/agent-apps/{client.tenant.app_id}/packages")
                await client.read("/api/deployments/queue/stats")
                await asyncio.sleep(0.02)  # as busy as this machine can be and still start a process

        async def writes(client: Client) -> list[str | None]:
            made: list[str | None] = []
            while not over.is_set():
                version = f"1.0.{len(made)}"
                made.append(await client.deploy(packed_agent(tmp_path, version=version), version))
                await asyncio.sleep(0.5)
            return made

        reading = [asyncio.ensure_future(reads(client)) for client in (one, other)]
        writing = asyncio.ensure_future(writes(one))
        for name in ("gateway", "packages-2", "deployments"):
            processes.end(name, signal.SIGTERM)
            await eventually(partial(processes.is_back, name), seconds=40)
        over.set()
        await asyncio.gather(*reading)
        made = await writing
        assert (one.faults + other.faults, one.cut_off + other.cut_off) == ([], [])
        for deployment in made:
            assert deployment is not None
            assert (await pac.ended(deployment, one.tenant.key))["status"] == "completed"


@pytest.mark.timeout(180)
async def test_whatever_is_killed_every_accepted_deployment_completes(pac: Pac, tmp_path: Path) -> None:
    seed = random.randrange(1_000_000)  # noqa: S311 - chance, not a secret
    print(f"seed {seed}")  # noqa: T201 - shown when it fails
    chance, processes = random.Random(seed), Processes(pac)  # noqa: S311 - as above

    async def keep_killing() -> None:
        began = time.monotonic()
        while time.monotonic() - began < KILLING_SECONDS:
            candidates = await eventually(lambda: _now(processes.not_alone()))
            processes.end(chance.choice(candidates), chance.choice((signal.SIGKILL, signal.SIGTERM)))
            await asyncio.sleep(PAUSE_SECONDS)

    async def deploys(number: int) -> list[str]:
        made: dict[str, str] = {}
        async with client_of(pac) as client:
            for attempt in range(20):
                version = f"1.{attempt}.0"
                package = packed_agent(tmp_path / str(number), version=version)
                if (deployment := await client.deploy(package, version)) is not None:
                    made[deployment] = version
                if len(made) == EACH:
                    break
                await client.read("/api/credits")
            assert len(made) == EACH
            for deployment in made:
                await eventually(partial(is_over, client, deployment), seconds=100)
            # What is killed takes the answers along that it was about to give; nothing else of it may be seen.
            killed = sum(one.startswith("SIGKILL") for one in processes.gone)
            assert len([one for one in client.cut_off if one.startswith("GET")]) <= killed, client.cut_off
            assert [fault for fault in client.faults if fault.startswith("GET")] == [], processes.gone
        return list(made)

    async def is_over(client: Client, deployment: str) -> bool:
        answer = await client.read(f"/api/deployments/{deployment}")
        if answer is None or answer.status != 200:
            return False
        shown = answer.body["deployment"]
        assert shown["status"] != "failed", (shown, processes.gone)
        return bool(shown["status"] == "completed")

    killing = asyncio.create_task(keep_killing())
    made = await asyncio.gather(*(deploys(number) for number in range(CLIENTS)))
    await killing
    assert len({one for each in made for one in each}) == CLIENTS * EACH
    assert len(processes.gone) >= 4
    server = str(pac.status["postgres_url"]).rpartition("/")[0]
    await money_holds(f"{server}/billing")
    await laws_hold(pac.status, patience_seconds=45)
