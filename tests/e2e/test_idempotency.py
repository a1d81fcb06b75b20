"""The same deploy sent again and again through the gateway: one deployment, one hold, one charge, the same bytes."""

import asyncio
import json
import os
import signal
from contextlib import suppress
from pathlib import Path

from aiohttp import ClientError

from pac.testkit.agents import packed_agent
from pac.testkit.pac_up import Answer, Pac, Tenant


async def deployments(pac: Pac, tenant: Tenant) -> list[str]:
    listed = await pac.call("GET", "/api/deployments", tenant.key)
    assert listed.status == 200, listed
    return [one["id"] for one in listed.body["deployments"]]


async def kinds(pac: Pac, tenant: Tenant) -> list[str]:
    ledger = await pac.call("GET", "/api/credits/ledger", tenant.key)
    return [entry["kind"] for entry in ledger.body["entries"] if "deployment_id" in entry]


async def test_twenty_requests_with_one_key_are_one_deployment(pac: Pac, tenant: Tenant, folder: Path) -> None:
    package = packed_agent(folder)
    answers = await asyncio.gather(*(pac.deploy(tenant, package, "1.0.0", key="one") for _ in range(20)))
    assert {answer.status for answer in answers} == {202}
    assert len({json.dumps(answer.body) for answer in answers}) == 1
    deployment = answers[0].body["deployment"]["id"]
    assert (await pac.ended(deployment, tenant.key))["status"] == "completed"
    assert await deployments(pac, tenant) == [deployment]
    assert await kinds(pac, tenant) == ["capture", "reserve"]
    late = await pac.deploy(tenant, package, "1.0.0", key="one")
    assert (late.body, late.headers["Idempotent-Replayed"]) == (answers[0].body, "true")
    other = await pac.deploy(tenant, packed_agent(folder / "other", version="2.0.0"), "2.0.0", key="one")
    assert (other.status, other.body["code"]) == (422, "idempotency_mismatch")


async def test_a_service_killed_in_the_middle_leaves_one_deployment(pac: Pac, tenant: Tenant, folder: Path) -> None:
    """Whenever it is killed: repeating with the same key ends in a 202, and in one deployment."""
    [pid] = [one["pid"] for one in pac.status["processes"] if one["name"] == "packages"]
    package = packed_agent(folder, padding_bytes=500_000)
    first = asyncio.create_task(pac.deploy(tenant, package, "1.0.0", key="killed"))
    await asyncio.sleep(0.1)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with suppress(ClientError):
        await first
    answer = await accepted(pac, tenant, package)
    deployment = answer.body["deployment"]["id"]
    assert (await pac.ended(deployment, tenant.key))["status"] == "completed"
    assert await deployments(pac, tenant) == [deployment]
    assert await kinds(pac, tenant) == ["capture", "reserve"]


async def accepted(pac: Pac, tenant: Tenant, package: Path) -> Answer:
    async with asyncio.timeout(90):
        while True:
            with suppress(ClientError):
                answer = await pac.deploy(tenant, package, "1.0.0", key="killed")
                if answer.status == 202:
                    return answer
                assert answer.status in (409, 503), answer
            await asyncio.sleep(0.2)
