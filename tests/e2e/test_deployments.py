"""What happens to deployments: a hundred at once, bad packages, agents that do not start, environments."""

import asyncio
import zipfile
from pathlib import Path
from typing import Any

from pac.testkit.agents import CRASHES, packed_agent
from pac.testkit.pac_up import Pac, Tenant
from pac.testkit.runtime import LocalRuntime

HUNDRED, AT_ONCE = 100, 10


async def balance(pac: Pac, tenant: Tenant) -> dict[str, Any]:
    answer = await pac.call("GET", "/api/credits", tenant.key)
    assert answer.status == 200
    return dict(answer.body)


async def test_a_hundred_deployments_ten_at_a_time(pac: Pac, folder: Path) -> None:
    tenants = [await pac.tenant() for _ in range(AT_ONCE)]
    before = [await pac.credits_opened(tenant.key) for tenant in tenants]
    package = packed_agent(folder)

    async def ten(number: int) -> list[str]:
        ends = []
        for round_ in range(HUNDRED // AT_ONCE):
            copy = packed_agent(folder / f"{number}-{round_}", version=f"1.{round_}.0")
            accepted = await pac.deploy(tenants[number], copy, f"1.{round_}.0")
            assert accepted.status == 202, accepted
            at_once = await pac.call("GET", accepted.body["tracking"]["status_url"], tenants[number].key)
            assert at_once.status == 200, at_once
            ends.append((await pac.ended(accepted.body["deployment"]["id"], tenants[number].key))["status"])
        return ends

    ended = await asyncio.gather(*(ten(number) for number in range(AT_ONCE)))
    assert [status for ends in ended for status in ends] == ["completed"] * HUNDRED
    for tenant, was in zip(tenants, before, strict=True):
        now = await balance(pac, tenant)
        assert (now["reserved"], now["spent"]) == (0, 10)
        assert now["available"] == was["available"] - 10
    assert package.exists()


async def test_a_package_whose_bytes_are_damaged_fails_and_gives_everything_back(
    pac: Pac, tenant: Tenant, folder: Path
) -> None:
    """The checksum of one entry is wrong: only inflating every byte, the step validate_package, finds it."""
    good = packed_agent(folder, padding_bytes=100_000)
    damaged = folder / "damaged.apkg"
    content = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as archive:
        entry = archive.getinfo("core/padding.bin")
    content[entry.header_offset + 1000] ^= 0xFF
    damaged.write_bytes(content)
    was = await balance(pac, tenant)
    accepted = await pac.deploy(tenant, damaged, "1.0.0")
    assert accepted.status == 202, accepted
    ended = await pac.ended(accepted.body["deployment"]["id"], tenant.key)
    assert (ended["status"], ended["outcome"]) == ("failed", "failed")
    assert ended["error"].startswith("Package validation failed")
    assert "\n" not in ended["error"]
    assert ended["progress"]["steps"][0]["status"] == "failed"
    assert await balance(pac, tenant) == was, "terminal means settled: the credits are back at the first `failed`"
    again = await pac.deploy(tenant, good, "1.0.0")
    assert again.status == 202, "the version is free again"
    assert (await pac.ended(again.body["deployment"]["id"], tenant.key))["status"] == "completed"


async def test_an_agent_that_does_not_start_fails_with_its_own_last_line(
    pac: Pac, tenant: Tenant, folder: Path
) -> None:
    was = await balance(pac, tenant)
    accepted = await pac.deploy(tenant, packed_agent(folder, main=CRASHES), "1.0.0")
    assert accepted.status == 202
    ended = await pac.ended(accepted.body["deployment"]["id"], tenant.key)
    assert ended["status"] == "failed"
    assert "this agent cannot start" in ended["error"]
    assert "\n" not in ended["error"]
    assert "X-Amz" not in str(ended)
    assert ended["progress"]["steps"][3]["status"] == "failed"
    assert await balance(pac, tenant) == was
    again = await pac.deploy(tenant, packed_agent(folder / "mended"), "1.0.0")
    assert again.status == 202, again
    assert (await pac.ended(again.body["deployment"]["id"], tenant.key))["status"] == "completed"


async def test_the_agent_sees_its_environment_in_the_specified_order(
    pac: Pac, tenant: Tenant, runtime: LocalRuntime, folder: Path
) -> None:
    """Deployment request over `.env` over base; what only one layer has is there as well."""
    package = packed_agent(folder)
    accepted = await pac.deploy(tenant, package, "1.0.0", environment='{"T_REQUEST": "request"}')
    deployment = accepted.body["deployment"]["id"]
    assert (await pac.ended(deployment, tenant.key))["status"] == "completed"
    assert (await runtime.invoke(deployment, {"text": "hello"}))["environment"] == {
        "T_FROM": "dotenv",
        "T_BASE": "base",
        "T_REQUEST": "request",
    }
    package = packed_agent(folder / "second", version="2.0.0")
    accepted = await pac.deploy(tenant, package, "2.0.0", environment='{"T_FROM": "request"}')
    deployment = accepted.body["deployment"]["id"]
    assert (await pac.ended(deployment, tenant.key))["status"] == "completed"
    assert (await runtime.invoke(deployment, {"text": "hello"}))["environment"] == {
        "T_FROM": "request",
        "T_BASE": "base",
    }
