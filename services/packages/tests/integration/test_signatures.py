"""What the signature of a package is worth: at an upload, a deploy, a dry run, and when the package is used again."""

import hashlib
import os
from typing import Any
from uuid import UUID

import pytest
from pysequoia import Tsk

from pac.contracts.base import Outcome
from pac.contracts.gateway import AgentAppChanged
from pac.contracts.packages import PackageUploaded
from pac.contracts.topics import ServiceName
from pac.testkit.service import Answer

from .harness import NOON, Packages, Tenant, apkg, signed

DRY = "/deploy?dry_run=true"


def fingerprint_of(key: Tsk) -> str:
    return key.extract_certificate().fingerprint


def only_signed(tenant: Tenant) -> Tenant:
    return Tenant(tenant.account_id, tenant.app_id, signature_policy="required")


def codes(answer: Answer) -> list[str]:
    assert (answer.status, answer.body["code"], answer.body["error"]) == (
        400,
        "invalid_package",
        "Package validation failed",
    ), answer
    return [problem["code"] for problem in answer.body["problems"]]


async def shown(packages: Packages, tenant: Tenant, package_id: object) -> dict[str, Any]:
    answer = await packages.call("GET", f"{tenant.path}/{package_id}", tenant)
    package: dict[str, Any] = answer.body["package"]
    return package


@pytest.mark.parametrize("armor", [False, True], ids=["binary", "armored"])
async def test_a_good_signature_is_shown_with_the_key_that_made_it(
    packages: Packages, tenant: Tenant, *, armor: bool
) -> None:
    key = Tsk.generate("Alice")
    await packages.may_sign(tenant, Tsk.generate("Bob"), key)
    package = apkg()
    expected = {"signature": "verified", "signed_by": fingerprint_of(key)}
    dry = await packages.post(tenant, package, to=DRY, signature=signed(key, package, armor=armor))
    answer = await packages.post(tenant, package, signature=signed(key, package, armor=armor))
    assert (dry.status, answer.status) == (200, 202), (dry, answer)
    assert expected.items() <= dry.body["package"].items()
    assert expected.items() <= answer.body["package"].items()
    told = await packages.submitted(UUID(answer.body["deployment"]["id"]))
    await packages.stepped(told)
    found = await shown(packages, tenant, told.package_id)
    assert expected.items() <= found.items()
    subkey = found["metadata"]["signature"].pop("signing_key")
    assert found["metadata"]["signature"] == {"verdict": "verified", "signed_by": fingerprint_of(key)}
    assert subkey != fingerprint_of(key), "a subkey of it has signed"
    assert (told.signed_by, told.signing_key) == (fingerprint_of(key), subkey), "the log says so as well"
    await packages.abort(told)
    retried = await packages.call("POST", f"/api/deployments/{told.deployment_id}/retry", tenant)
    again = await packages.submitted(UUID(retried.body["deployment"]["id"]))
    assert (again.signed_by, again.signing_key) == (told.signed_by, told.signing_key)


async def test_an_upload_is_held_to_its_signature_too(packages: Packages, tenant: Tenant) -> None:
    key = Tsk.generate("Alice")
    await packages.may_sign(tenant, key)
    good = await packages.post(tenant, apkg(), to="", signature=signed(key, apkg()))
    assert (good.status, good.body["package"]["signed_by"]) == (201, fingerprint_of(key))
    [uploaded] = await packages.log.history(f"package-{good.body['package']['id']}")
    assert isinstance(uploaded.event, PackageUploaded)
    assert uploaded.event.signed_by == fingerprint_of(key)
    assert uploaded.event.signing_key is not None
    bad = await packages.post(tenant, apkg("1.0.1"), to="", signature=signed(key, apkg()))
    assert codes(bad) == ["signature_wrong"]


@pytest.mark.parametrize("policy", ["optional", "required"])
async def test_a_bad_signature_is_refused_and_nothing_is_left_of_it(packages: Packages, policy: str) -> None:
    tenant, key = Tenant(signature_policy=policy), Tsk.generate("Alice")
    await packages.may_sign(tenant, key)
    package, stranger = apkg(), Tsk.generate("Mallory")
    bad = {
        "signature_wrong": signed(key, package + b"x"),
        "signature_by_unknown_key": signed(stranger, package),
        "signature_unreadable": b"x",
    }
    for code, signature in bad.items():
        for to in ("", "/deploy", DRY):
            answer = await packages.post(tenant, package, to=to, signature=signature)
            assert codes(answer) == [code]
            assert answer.body["problems"][0]["entry"] == "signature"
            assert answer.body["problems"][0]["hint"]
    await packages.nothing_left(events=1)


async def test_where_it_is_required_a_package_without_one_is_refused_before_anything_is_claimed(
    packages: Packages,
) -> None:
    tenant, key = Tenant(signature_policy="required"), Tsk.generate("Alice")
    assert codes(await packages.post(tenant, apkg(), signature=signed(key, apkg()))) == ["signature_no_keys"]
    await packages.may_sign(tenant, key)
    for to in ("", "/deploy", DRY):
        answer = await packages.post(tenant, apkg(), to=to)
        assert codes(answer) == ["signature_required"]
        assert "gpg --detach-sign" in answer.body["problems"][0]["hint"]
    await packages.nothing_left(events=1)
    assert await packages.rows("SELECT 1 FROM state.submissions UNION SELECT 1 FROM state.versions") == []
    assert (await packages.post(tenant, apkg(), signature=signed(key, apkg()))).status == 202


async def test_it_is_told_together_with_all_other_faults(packages: Packages, tenant: Tenant) -> None:
    bad = apkg("1.2.0", {".env": None})
    answer = await packages.post(tenant, bad, version="1.2.0", signature=b"x", colour="blue")
    assert set(codes(answer)) == {"field_unknown", "env_missing", "signature_unreadable"}
    long = await packages.post(tenant, apkg(), signature=b"x" * 65_537)
    assert long.body["details"] == ["Field signature is longer than 65536 bytes"], "and nothing more of it"


@pytest.mark.parametrize(
    ("policy", "is_signed", "verdict"),
    [("off", True, "ignored"), ("off", False, "none"), ("optional", True, "unverified"), ("optional", False, "none")],
)
async def test_without_keys_a_signature_is_kept_for_what_it_is(
    packages: Packages, policy: str, verdict: str, *, is_signed: bool
) -> None:
    signature = signed(Tsk.generate("Alice"), apkg()) if is_signed else None
    answer = await packages.post(Tenant(signature_policy=policy), apkg(), to="", signature=signature)
    assert (answer.body["package"]["signature"], "signed_by" in answer.body["package"]) == (verdict, False)


async def test_where_it_is_off_nobody_looks(packages: Packages) -> None:
    answer = await packages.post(Tenant(signature_policy="off"), apkg(), to="", signature=b"not even a signature")
    assert (answer.status, answer.body["package"]["signature"]) == (201, "ignored")


# ---- sent again, used again ------------------------------------------------------------------------------------------


async def test_another_signature_is_another_request(packages: Packages, tenant: Tenant) -> None:
    one, other = (signed(Tsk.generate(name), apkg()) for name in ("Alice", "Bob"))
    first = await packages.post(tenant, apkg(), key="k", signature=one)
    again = await packages.post(tenant, apkg(), key="k", signature=one)
    assert (first.status, again.body, again.headers["Idempotent-Replayed"]) == (202, first.body, "true")
    for signature in (other, None):
        refused = await packages.post(tenant, apkg(), key="k", signature=signature)
        assert (refused.status, refused.body["code"]) == (422, "idempotency_mismatch")


async def test_a_stored_package_is_used_again_only_while_its_signer_may_sign(
    packages: Packages, tenant: Tenant
) -> None:
    alice, bob, strict = Tsk.generate("Alice"), Tsk.generate("Bob"), only_signed(tenant)
    await packages.may_sign(tenant, alice, bob)
    by_alice = await packages.post(tenant, apkg("1.0.0"), to="", signature=signed(alice, apkg("1.0.0")))
    unsigned = await packages.post(tenant, apkg("1.0.1"), to="")
    paths = [f"{tenant.path}/{one.body['package']['id']}/deploy" for one in (by_alice, unsigned)]
    assert (await packages.call("POST", paths[0], strict, json={})).status == 202
    assert codes(await packages.call("POST", paths[1], strict, json={})) == ["signature_required"]
    await packages.may_sign(tenant, bob)
    assert codes(await packages.call("POST", paths[0], strict, json={})) == ["signature_required"]
    for path in paths:
        assert (await packages.call("POST", path, tenant, json={})).status == 202


async def test_a_retry_is_held_to_the_policy_of_now(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, apkg())
    await packages.abort(told, Outcome.FAILED)
    changed = AgentAppChanged(
        account_id=tenant.account_id, at=NOON, agent_app_id=tenant.app_id, signature_policy="required"
    )
    await packages.hear(ServiceName.GATEWAY, f"app-{tenant.app_id}", changed)
    retry = f"/api/deployments/{told.deployment_id}/retry"
    assert codes(await packages.call("POST", retry, tenant)) == ["signature_required"]
    assert (await packages.row(told.package_id)).status == "withdrawn"
    lenient = changed.model_copy(update={"signature_policy": "optional"})
    await packages.hear(ServiceName.GATEWAY, f"app-{tenant.app_id}", lenient)
    assert (await packages.call("POST", retry, tenant)).status == 202


async def test_a_rollback_is_held_to_the_policy_of_now(packages: Packages, tenant: Tenant) -> None:
    key = Tsk.generate("Alice")
    await packages.may_sign(tenant, key)
    releases = []
    for release, signature in ((1, signed(key, apkg("1.0.0"))), (2, None), (3, None)):
        answer = await packages.post(tenant, apkg(f"{release}.0.0"), signature=signature)
        releases.append(await packages.submitted(UUID(answer.body["deployment"]["id"])))
        await packages.stepped(releases[-1])
        await packages.complete(releases[-1], release)
    path, strict = f"/api/agent-apps/{tenant.app_id}/rollback", only_signed(tenant)
    assert codes(await packages.call("POST", path, strict, json={})) == ["signature_required"]
    back = await packages.call("POST", path, strict, json={"to": str(releases[0].deployment_id)})
    assert (back.status, back.body["package"]["signature"]) == (202, "verified")


async def test_the_bytes_that_were_signed_are_the_bytes_that_are_kept(packages: Packages, tenant: Tenant) -> None:
    key, package = Tsk.generate("Alice"), apkg(changes={"src/data.bin": os.urandom(9 * 1024 * 1024)})
    await packages.may_sign(tenant, key)
    answer = await packages.post(tenant, package, to="", signature=signed(key, package))
    assert answer.body["package"]["sha256"] == hashlib.sha256(package).hexdigest()
    kept = await packages.objects.get_bytes(f"packages/{tenant.account_id}/{answer.body['package']['sha256']}")
    assert kept == package
