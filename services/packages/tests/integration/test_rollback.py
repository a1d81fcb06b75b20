"""Back to what ran before: which release that is, what comes back with it, and what is refused."""

import asyncio
import json
from typing import Any
from uuid import UUID, uuid4

import pytest

from pac.contracts.base import Source
from pac.contracts.packages import PackageSubmitted
from pac.packages.domain.submission import OWN_STEPS
from pac.testkit.service import Answer

from .conftest import PackagesOf
from .harness import Packages, Tenant, apkg


async def rollback(packages: Packages, tenant: Tenant, **body: Any) -> Answer:
    return await packages.call("POST", f"/api/agent-apps/{tenant.app_id}/rollback", tenant, json=body)


async def told_by(packages: Packages, answer: Answer) -> PackageSubmitted:
    assert answer.status == 202, answer
    return await packages.submitted(UUID(answer.body["deployment"]["id"]))


async def released(packages: Packages, tenant: Tenant, release: int, **fields: Any) -> PackageSubmitted:
    told = await packages.deployed(tenant, apkg(f"1.{release}.0"), **fields)
    await packages.stepped(told)
    await packages.complete(told, release)
    return told


async def test_it_goes_back_by_one_release_with_the_environment_of_then(packages: Packages, tenant: Tenant) -> None:
    first = await released(packages, tenant, 1, environment=json.dumps({"API_KEY": "hunter2-hunter2"}))
    second = await released(packages, tenant, 2)
    pinned = await packages.deployed(tenant, apkg("9.0.0"))
    await packages.complete(pinned, 3, current=False)
    told = await told_by(packages, await rollback(packages, tenant))
    assert (told.source, told.billable, told.done) == (Source.ROLLBACK, False, OWN_STEPS)
    assert (told.package_id, told.environment) == (first.package_id, first.environment)
    await packages.complete(told, 4)
    again = await told_by(packages, await rollback(packages, tenant))
    assert (again.package_id, again.environment) == (second.package_id, None), "the one before the rollback's own"


async def test_any_that_has_completed_may_be_named(packages: Packages, tenant: Tenant) -> None:
    deployments = [await released(packages, tenant, number) for number in (1, 2, 3)]
    told = await told_by(packages, await rollback(packages, tenant, to=str(deployments[0].deployment_id)))
    assert told.package_id == deployments[0].package_id


async def test_one_that_has_not_is_refused(packages: Packages, tenant: Tenant) -> None:
    foreign = await released(packages, Tenant(), 1)
    await released(packages, tenant, 1)
    for unknown in (uuid4(), foreign.deployment_id):
        answer = await rollback(packages, tenant, to=str(unknown))
        assert (answer.status, answer.body["error"]) == (404, "Deployment not found")
    failed = await packages.deployed(tenant, apkg("2.0.0"))
    await packages.abort(failed)
    answer = await rollback(packages, tenant, to=str(failed.deployment_id))
    assert (answer.status, answer.body["code"]) == (409, "no_release")


async def test_before_the_second_release_there_is_none_to_go_back_to(packages: Packages, tenant: Tenant) -> None:
    never = await rollback(packages, tenant)
    await released(packages, tenant, 1)
    once = await rollback(packages, tenant)
    assert [(answer.status, answer.body["code"]) for answer in (never, once)] == [(409, "no_release")] * 2


async def test_it_waits_for_what_is_open_and_never_guesses(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(holder_wait_seconds=0.1)
    first = await released(packages, tenant, 1)
    await released(packages, tenant, 2)
    deployed = await packages.deployed(tenant, apkg("3.0.0"))
    answer = await rollback(packages, tenant)
    assert (answer.status, answer.body["code"]) == (409, "deployment_open")
    assert answer.body["used_by"] == [{"deployment_id": str(deployed.deployment_id)}]
    named = await rollback(packages, tenant, to=str(first.deployment_id))
    assert named.status == 202, "which one that is cannot change"


async def test_an_end_that_is_heard_while_it_waits_counts(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(holder_wait_seconds=10.0)
    await released(packages, tenant, 1)
    second = await released(packages, tenant, 2)
    third = await packages.deployed(tenant, apkg("3.0.0"))
    waiting = asyncio.create_task(rollback(packages, tenant))
    await packages.complete(third, 3)
    told = await told_by(packages, await waiting)
    assert told.package_id == second.package_id


async def test_a_package_deleted_since_is_not_to_be_had(packages: Packages, tenant: Tenant) -> None:
    first = await released(packages, tenant, 1)
    await released(packages, tenant, 2)
    deleted = await packages.call("DELETE", f"{tenant.path}/{first.package_id}", tenant)
    assert deleted.status == 200, deleted
    answer = await rollback(packages, tenant)
    assert (answer.status, answer.body["code"]) == (409, "bytes_gone")


async def test_a_retry_of_one_that_failed_is_a_rollback_still(packages: Packages, tenant: Tenant) -> None:
    first = await released(packages, tenant, 1)
    await released(packages, tenant, 2)
    back = await told_by(packages, await rollback(packages, tenant))
    await packages.abort(back)
    answer = await packages.call("POST", f"/api/deployments/{back.deployment_id}/retry", tenant)
    again = await told_by(packages, answer)
    assert (again.source, again.billable, again.retry_of) == (Source.ROLLBACK, False, back.deployment_id)
    assert again.package_id == first.package_id


@pytest.mark.parametrize("body", [{"to": "x"}, {"from": str(uuid4())}])
async def test_what_is_not_understood_is_named(packages: Packages, tenant: Tenant, body: dict[str, str]) -> None:
    answer = await rollback(packages, tenant, **body)
    assert (answer.status, answer.body["code"]) == (400, "invalid_request")
    assert next(iter(body)) in answer.body["details"][0]


async def test_two_at_once_are_one(packages: Packages, tenant: Tenant) -> None:
    """The second finds the first one open; named, both are accepted, and stand in line."""
    await released(packages, tenant, 1)
    await released(packages, tenant, 2)
    answers = await asyncio.gather(*(rollback(packages, tenant) for _ in range(2)))
    assert sorted(answer.status for answer in answers) == [202, 409]
    refused = next(answer for answer in answers if answer.status == 409)
    assert refused.body["code"] in ("deployment_open", "conflict")
