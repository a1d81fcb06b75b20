"""Signed packages on a whole PAC: what is refused, what is shown; and an app that is deleted with its bytes."""

import json
from pathlib import Path
from typing import Any

from pysequoia import SignatureMode, Tsk, sign

from pac.testkit.agents import packed_agent
from pac.testkit.eventually import eventually
from pac.testkit.pac_up import PATIENCE_SECONDS, Pac, Tenant, command


async def unused(pac: Pac) -> list[dict[str, Any]]:
    """What would be collected if nothing were kept for a while."""
    where = ("--state-dir", str(pac.state_dir), "-o", "json")
    said = await command("storage", "unused", "--keep-seconds", "0", *where)
    assert said.code == 0, said
    told = json.loads(said.out)
    assert told["count"] == len(told["objects"])
    assert told["size_bytes"] == sum(one["size_bytes"] or 0 for one in told["objects"])  # null of an environment
    return list(told["objects"])


async def test_where_an_app_says_so_only_what_is_signed_is_deployed(pac: Pac, tenant: Tenant, folder: Path) -> None:
    key, app = Tsk.generate("Alice <alice@example.org>"), f"/api/agent-apps/{tenant.app_id}"
    public = key.extract_certificate()
    put = await pac.call("PUT", f"{app}/signing-keys", tenant.key, json={"keys": [str(public)]})
    assert (put.status, [one["fingerprint"] for one in put.body["keys"]]) == (200, [public.fingerprint])
    patched = await pac.call("PATCH", app, tenant.key, json={"signature_policy": "required"})
    assert patched.body["agent_app"]["signature_policy"] == "required"
    package = packed_agent(folder)
    before = await pac.credits_opened(tenant.key)
    for signature, code in ((None, "signature_required"), (b"x", "signature_unreadable")):
        refused = await pac.deploy(tenant, package, "1.0.0", signature=signature)
        assert (refused.status, [one["code"] for one in refused.body["problems"]]) == (400, [code])
    assert await pac.credits_opened(tenant.key) == before
    signature = sign(key.signer(), package.read_bytes(), mode=SignatureMode.DETACHED)
    accepted = await pac.deploy(tenant, package, "1.0.0", signature=signature)
    assert accepted.status == 202, accepted
    assert accepted.body["package"]["signed_by"] == public.fingerprint
    ended = await pac.ended(accepted.body["deployment"]["id"], tenant.key)
    assert ended["status"] == "completed", ended
    shown = await pac.call("GET", f"{app}/packages/{ended['package_id']}", tenant.key)
    assert shown.body["package"]["metadata"]["signature"]["verdict"] == "verified"


async def test_an_app_is_not_deleted_by_accident_and_its_bytes_go_with_it(
    pac: Pac, tenant: Tenant, folder: Path
) -> None:
    accepted = await pac.deploy(tenant, packed_agent(folder), "1.0.0")
    deployment, app = accepted.body["deployment"]["id"], f"/api/agent-apps/{tenant.app_id}"
    early = await pac.call("DELETE", app, tenant.key)
    assert (early.status, early.body["code"], early.body["used_by"][0]["deployment_id"]) == (
        409,
        "app_in_use",
        deployment,
    )
    assert (await pac.ended(deployment, tenant.key))["status"] == "completed"

    async def runs() -> bool:
        refused = await pac.call("DELETE", app, tenant.key)
        return bool(refused.body["used_by"] == [{"deployment_id": deployment, "current_release": True}])

    await eventually(runs, seconds=PATIENCE_SECONDS)
    key = f"packages/{tenant.account_id}/{accepted.body['package']['sha256']}"
    assert key not in {one["key"] for one in await unused(pac)}
    assert (await pac.call("DELETE", f"{app}?force=true", tenant.key)).status == 200

    async def is_unused() -> bool:
        return key in {one["key"] for one in await unused(pac)}

    await eventually(is_unused, seconds=PATIENCE_SECONDS)
    assert (await pac.call("GET", f"/api/deployments/{deployment}", tenant.key)).status == 200
    assert (await pac.call("GET", "/api/credits/ledger", tenant.key)).body["entries"]
