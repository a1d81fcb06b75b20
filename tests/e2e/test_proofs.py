"""Proofs of real deployments, fetched like anyone fetches them and checked offline by the command."""

import json
import zipfile
from pathlib import Path
from typing import Any

from pac.testkit.agents import packed_agent
from pac.testkit.pac_up import Finished, Pac, Tenant, command


async def proof_of(pac: Pac, tenant: Tenant, deployment: str, file: Path) -> bytes:
    url = f"{pac.url}/api/deployments/{deployment}/proof"
    async with pac.http.get(url, headers={"Authorization": f"Bearer {tenant.key}"}) as answer:
        content = await answer.read()
        assert answer.status == 200, content
    file.write_bytes(content)
    return content


async def checked(file: Path, *arguments: str) -> tuple[Finished, dict[str, Any]]:
    said = await command("verify", str(file), "-o", "json", *arguments)
    return said, json.loads(said.out)


def damaged(folder: Path) -> Path:
    """The checksum of one entry is wrong: the deployment fails at its first step."""
    good = packed_agent(folder, padding_bytes=100_000)
    content = bytearray(good.read_bytes())
    with zipfile.ZipFile(good) as archive:
        content[archive.getinfo("core/padding.bin").header_offset + 1000] ^= 0xFF
    bad = folder / "damaged.apkg"
    bad.write_bytes(content)
    return bad


async def test_proofs_of_every_end_are_sound_and_a_changed_byte_is_not(pac: Pac, tenant: Tenant, folder: Path) -> None:
    keys = folder / "keys.json"
    async with pac.http.get(f"{pac.url}/.well-known/pac-proof-keys") as answer:
        keys.write_bytes(await answer.read())
    completed = await pac.deploy(tenant, packed_agent(folder), "1.0.0")
    failed = await pac.deploy(tenant, damaged(folder / "bad"), "1.0.0")
    if failed.status == 400:  # the first one holds the version
        await pac.ended(completed.body["deployment"]["id"], tenant.key)
        failed = await pac.deploy(tenant, damaged(folder / "again"), "1.0.0", force_overwrite="true")
    poor = await pac.tenant(credits=1)
    rejected = await pac.deploy(poor, packed_agent(folder / "big", padding_bytes=2 * 1024 * 1024), "1.0.0")
    assert (completed.status, failed.status, rejected.status) == (202, 202, 402)
    rich = await pac.tenant(credits=2)
    running = await pac.deploy(rich, packed_agent(folder / "running"), "1.0.0")
    waiting = await pac.deploy(rich, packed_agent(folder / "waiting", version="2.0.0"), "2.0.0")
    cancelled = waiting.body["deployment"]["id"]
    stopped = await pac.call("POST", f"/api/deployments/{cancelled}/cancel", rich.key)
    assert (running.status, stopped.status) == (202, 202), stopped
    ends = (
        (rich, cancelled, "cancelled", "released"),
        (tenant, completed.body["deployment"]["id"], "succeeded", "captured"),
        (tenant, failed.body["deployment"]["id"], "failed", "released"),
        (poor, rejected.body["deployment_id"], "rejected", "refused"),
    )
    for who, deployment, outcome, credits_ in ends:
        await pac.ended(deployment, who.key)
        file = folder / f"{outcome}.json"
        content = await proof_of(pac, who, deployment, file)
        said, told = await checked(file, "--keys", str(keys))
        assert (said.code, told["sound"], told["pinned"], told["missing"]) == (0, True, True, []), told
        assert (told["outcome"], told["credits"]) == (outcome, credits_)
        assert who.key.encode() not in content
        broken = bytearray(content)
        broken[content.index(b"causation_id") + 20] ^= 1
        file.write_bytes(broken)
        said, told = await checked(file)
        assert (said.code, told["sound"]) == (1, False)
        assert told["faults"][0]["stream"].endswith(deployment)


async def test_another_account_gets_no_proof(pac: Pac, tenant: Tenant, folder: Path) -> None:
    accepted = await pac.deploy(tenant, packed_agent(folder), "1.0.0")
    deployment = accepted.body["deployment"]["id"]
    other = await pac.tenant()
    answer = await pac.call("GET", f"/api/deployments/{deployment}/proof", other.key)
    assert answer.status == 404, answer
    await pac.ended(deployment, tenant.key)
