"""Deployments for which nothing is uploaded: of a stored package, and the retry of one that ended badly."""

import asyncio
import json
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import pytest

from pac.contracts.base import Outcome, Source, Step
from pac.contracts.gateway import AgentAppDeleted
from pac.contracts.packages import PackageSubmitted
from pac.contracts.topics import ServiceName
from pac.packages.domain.submission import OWN_STEPS
from pac.servicekit.sealing import environment_context, open_sealed
from pac.testkit.service import Answer

from .conftest import PackagesOf
from .harness import NOON, SEALING_KEY, Packages, Tenant, apkg, damaged


async def uploaded(packages: Packages, tenant: Tenant) -> UUID:
    answer = await packages.post(tenant, apkg(), to="")
    assert answer.status == 201, answer
    return UUID(answer.body["package"]["id"])


async def deploy_stored(packages: Packages, tenant: Tenant, package_id: UUID, **body: Any) -> Answer:
    return await packages.call("POST", f"{tenant.path}/{package_id}/deploy", tenant, json=body)


async def retry(packages: Packages, tenant: Tenant, deployment_id: UUID, **options: Any) -> Answer:
    return await packages.call("POST", f"/api/deployments/{deployment_id}/retry", tenant, **options)


async def told_by(packages: Packages, answer: Answer) -> PackageSubmitted:
    assert answer.status == 202, answer
    return await packages.submitted(UUID(answer.body["deployment"]["id"]))


def refused(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.body["code"]


# ---- a stored package ----------------------------------------------------------------------------------------------


async def test_a_stored_package_is_deployed_without_its_bytes(packages: Packages, tenant: Tenant) -> None:
    package_id = await uploaded(packages, tenant)
    before = await packages.keys()
    environment = {"API_KEY": "hunter2-hunter2"}
    answer = await deploy_stored(packages, tenant, package_id, release_notes="Again", environment=environment)
    told = await told_by(packages, answer)
    assert (told.source, told.billable, told.retry_of) == (Source.STORED, True, None)
    assert told.done == OWN_STEPS
    assert (await packages.keys("staging/")) == []
    assert set(await packages.keys()) - set(before) == {f"sealed/{told.deployment_id}"}
    assert (await packages.objects.head(told.object_key)).size_bytes == told.size_bytes
    assert answer.body["package"] == {
        "id": str(package_id),
        "version": "1.0.0",
        "size_bytes": told.size_bytes,
        "status": "stored",
        "sha256": told.sha256,
        "warnings": answer.body["package"]["warnings"],
        "signature": "none",
        "signed_by": None,
    }
    assert answer.body["tracking"]["status_url"].endswith(f"/api/deployments/{told.deployment_id}")
    assert told.environment is not None
    sealed = await packages.objects.get_bytes(told.environment.object_key)
    opened = open_sealed(SEALING_KEY.private_bytes_raw(), sealed, environment_context(told.deployment_id))
    assert json.loads(opened) == environment
    shown = await packages.call("GET", f"{tenant.path}/{package_id}", tenant)
    assert shown.body["package"]["release_notes"] == "Again"
    status = await packages.call("GET", f"/internal/submissions/{told.deployment_id}", tenant)
    steps = status.body["deployment"]["progress"]["steps"]
    assert [step.get("skipped") for step in steps] == [True, True, True, None, None]


async def test_it_waits_for_billings_decision_like_an_upload(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(decision_wait_seconds=20.0)
    package_id = await uploaded(packages, tenant)
    first = asyncio.create_task(deploy_stored(packages, tenant, package_id))
    told = await packages.next_submitted()
    assert not first.done()
    await packages.reserve(told)
    assert (await asyncio.wait_for(first, 5)).status == 202
    second = asyncio.create_task(deploy_stored(packages, tenant, package_id))
    refused_one = await packages.next_submitted(after=1)
    await packages.abort(refused_one, Outcome.REJECTED, required=10, available=5)
    answer = await asyncio.wait_for(second, 5)
    assert (answer.status, answer.body["required"], answer.body["available"]) == (402, 10, 5)
    assert (await packages.row(package_id)).status == "stored", "another still uses it, and it was a plain upload"


async def test_its_users_are_counted_and_its_version_stays(packages: Packages, tenant: Tenant) -> None:
    first = await packages.deployed(tenant, apkg())
    early = await deploy_stored(packages, tenant, first.package_id)
    assert refused(early) == (409, "deployment_open")
    assert early.headers["Retry-After"] == "2"
    await packages.stepped(first)
    second = await told_by(packages, await deploy_stored(packages, tenant, first.package_id))
    await packages.abort(first)
    assert (await packages.row(first.package_id)).status == "stored", "the second still uses it"
    await packages.abort(second)
    assert (await packages.row(first.package_id)).status == "withdrawn"
    late = await deploy_stored(packages, tenant, first.package_id)
    assert refused(late) == (409, "package_not_stored")


async def test_a_superseded_package_may_be_deployed(packages: Packages, tenant: Tenant) -> None:
    old = await uploaded(packages, tenant)
    newer = await packages.deployed(tenant, apkg(changes={"src/new.py": b"1"}), force_overwrite="true")
    await packages.stepped(newer)
    await packages.complete(newer)
    told = await told_by(packages, await deploy_stored(packages, tenant, old))
    await packages.complete(told, release=2)
    assert (await packages.row(old)).status == "superseded"
    [[holder]] = await packages.rows("SELECT package_id FROM state.versions")
    assert holder == newer.package_id


async def test_a_delete_at_the_same_moment_is_one_or_the_other(packages: Packages, tenant: Tenant) -> None:
    for number in range(5):
        uploaded_one = await packages.post(tenant, apkg(f"1.{number}.0"), to="")
        package_id = UUID(uploaded_one.body["package"]["id"])
        deleting = packages.call("DELETE", f"{tenant.path}/{package_id}", tenant)
        deployed, deleted = await asyncio.gather(deploy_stored(packages, tenant, package_id), deleting)
        assert (deployed.status, deleted.status) in {(202, 409), (409, 200), (404, 200)}
        assert (await packages.row(package_id)).status == ("deleted" if deleted.status == 200 else "stored")


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"version": "2.0.0"}, "version: Unknown field"),
        ({"environment": {"1X": "hunter2"}}, "Field environment has a name that cannot be a variable: 1X"),
        ({"environment": {"X": 1}}, "environment.X: Input should be a valid string"),
        ({"environment": {"X": "a\x00"}}, "Field environment gives X a value that no process can hold"),
        ({"release_notes": "a\x00"}, "Field release_notes holds a null byte"),
        ({"release_notes": "x" * 70_000}, "Field release_notes is longer than 65536 bytes"),
    ],
)
async def test_what_is_not_understood_is_named_and_leaves_nothing(
    packages: Packages, tenant: Tenant, body: dict[str, Any], detail: str
) -> None:
    package_id = await uploaded(packages, tenant)
    answer = await deploy_stored(packages, tenant, package_id, **body)
    assert (answer.status, answer.body["details"]) == (400, [detail])
    assert "hunter2" not in str(answer.body)
    assert await packages.keys("sealed/") == []
    assert await packages.rows("SELECT 1 FROM state.submissions") == []


async def test_unknown_foreign_and_deleted_packages_are_the_same_404(packages: Packages, tenant: Tenant) -> None:
    mine = await uploaded(packages, tenant)
    gone = UUID((await packages.post(tenant, apkg("2.0.0"), to="")).body["package"]["id"])
    assert (await packages.call("DELETE", f"{tenant.path}/{gone}", tenant)).status == 200
    stranger = Tenant()
    answers = [
        await deploy_stored(packages, stranger, mine),
        await deploy_stored(packages, tenant, uuid4()),
        await deploy_stored(packages, tenant, gone),
    ]
    assert {(*refused(answer), answer.body["error"]) for answer in answers} == {(404, "not_found", "Package not found")}


# ---- retry ---------------------------------------------------------------------------------------------------------


async def test_a_retry_goes_on_where_the_first_try_ended(packages: Packages, tenant: Tenant) -> None:
    """The first two steps were done: nothing is uploaded twice, the environment is the same, the version is its own."""
    first = await packages.deployed(tenant, apkg(), environment='{"A": "1"}')
    for number, step in enumerate((Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3)):
        await packages.order(first, step)
        await packages.said(first.deployment_id, number + 2)
    await packages.abort(first)
    before = await packages.keys()
    answer = await retry(packages, tenant, first.deployment_id)
    told = await told_by(packages, answer)
    assert await packages.keys() == before
    assert (told.source, told.retry_of, told.billable, told.no) == (Source.RETRY, first.deployment_id, True, 2)
    assert told.done == (Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3)
    assert told.environment == first.environment
    assert told.package_id == first.package_id
    assert answer.body["package"]["status"] == "stored"
    taken = await packages.post(tenant, apkg())
    assert taken.body["details"] == ["Version already exists"]
    await packages.order(told, Step.GENERATE_METADATA)
    await packages.said(told.deployment_id, 2)
    await packages.complete(told)
    assert (await packages.row(told.package_id)).kept


async def test_one_that_ended_before_its_bytes_were_stored_goes_on_from_the_staged_ones(
    packages: Packages, tenant: Tenant
) -> None:
    first = await packages.deployed(tenant, apkg())
    await packages.abort(first, Outcome.CANCELLED)
    told = await told_by(packages, await retry(packages, tenant, first.deployment_id, json={}))
    assert (told.done, told.object_key) == ((), first.object_key)
    await packages.stepped(told)
    assert (await packages.row(told.package_id)).status == "stored"


async def test_only_one_of_many_retries_at_once_is_accepted(packages: Packages, tenant: Tenant) -> None:
    first = await packages.deployed(tenant, apkg())
    await packages.abort(first)
    answers = await asyncio.gather(*(retry(packages, tenant, first.deployment_id) for _ in range(10)))
    assert Counter(answer.status for answer in answers) == {202: 1, 409: 9}
    assert {answer.body["code"] for answer in answers if answer.status == 409} == {"deployment_open"}


async def test_an_end_that_is_heard_while_a_retry_waits_lets_it_in(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(holder_wait_seconds=10.0)
    first = await packages.deployed(tenant, apkg())
    waiting = asyncio.create_task(retry(packages, tenant, first.deployment_id))
    await asyncio.wait({waiting}, timeout=0.3)
    assert not waiting.done()
    await packages.abort(first)
    assert (await asyncio.wait_for(waiting, 8)).status == 202


async def test_what_cannot_be_retried(packages: Packages, tenant: Tenant) -> None:
    open_one = await packages.deployed(tenant, apkg("1.0.0"))
    still = await retry(packages, tenant, open_one.deployment_id)
    assert (*refused(still), still.headers["Retry-After"]) == (409, "deployment_open", "2")
    await packages.stepped(open_one)
    await packages.complete(open_one)
    assert refused(await retry(packages, tenant, open_one.deployment_id)) == (409, "not_retriable")

    bad = await packages.deployed(tenant, damaged("2.0.0"))
    await packages.order(bad, Step.VALIDATE_PACKAGE)
    await packages.said(bad.deployment_id, 2)
    await packages.abort(bad)
    assert refused(await retry(packages, tenant, bad.deployment_id)) == (409, "not_retriable")

    overtaken = await packages.deployed(tenant, apkg("3.0.0"))
    await packages.abort(overtaken)
    await packages.deployed(tenant, apkg("3.0.0", changes={"src/new.py": b"1"}))
    assert refused(await retry(packages, tenant, overtaken.deployment_id)) == (409, "version_taken")

    gone = await packages.deployed(tenant, apkg("4.0.0"))
    await packages.abort(gone)
    await packages.objects.delete(gone.object_key)
    assert refused(await retry(packages, tenant, gone.deployment_id)) == (409, "bytes_gone")

    deleted = await packages.deployed(tenant, apkg("5.0.0"))
    await packages.abort(deleted)
    assert (await packages.call("DELETE", f"{tenant.path}/{deleted.package_id}", tenant)).status == 200
    assert refused(await retry(packages, tenant, deleted.deployment_id)) == (409, "bytes_gone")


async def test_unknown_and_foreign_deployments_are_the_same_404(packages: Packages, tenant: Tenant) -> None:
    first = await packages.deployed(tenant, apkg())
    await packages.abort(first)
    answers = [await retry(packages, Tenant(), first.deployment_id), await retry(packages, tenant, uuid4())]
    assert {(*refused(answer), answer.body["error"]) for answer in answers} == {
        (404, "not_found", "Deployment not found")
    }
    unknown = await retry(packages, tenant, first.deployment_id, json={"version": "2"})
    assert (unknown.status, unknown.body["details"]) == (400, ["version: Unknown field"])


async def test_a_deleted_app_takes_nothing_once_more(packages: Packages, tenant: Tenant) -> None:
    stored, first = await uploaded(packages, tenant), await packages.deployed(tenant, apkg("2.0.0"))
    await packages.abort(first)
    event = AgentAppDeleted(account_id=tenant.account_id, at=NOON, agent_app_id=tenant.app_id)
    await packages.hear(ServiceName.GATEWAY, f"app-{tenant.app_id}", event)
    answers = [await deploy_stored(packages, tenant, stored), await retry(packages, tenant, first.deployment_id)]
    assert {(answer.status, answer.body["error"]) for answer in answers} == {(404, "Agent app not found")}
