"""A deploy that is sent again is one deployment: its key gets the first answer, also after a crash in the middle."""

import asyncio
import json
from typing import Any
from uuid import UUID

from pac.contracts.base import Outcome

from .conftest import PackagesOf
from .harness import Packages, Tenant, apkg

CUT_OFF = "UPDATE state.claims SET answer = NULL, leased_until = '-infinity'"
NEVER_COMMITTED = "UPDATE state.claims SET answer = NULL, outcome = NULL, leased_until = '-infinity'"


async def change(packages: Packages, statement: str) -> None:
    """As a process leaves it that is killed at that moment."""
    async with packages.log.engine.begin() as connection:
        await connection.exec_driver_sql(statement)


async def submissions(packages: Packages) -> list[UUID]:
    return [row[0] for row in await packages.rows("SELECT deployment_id FROM state.submissions")]


async def test_twenty_at_once_are_one_deployment(packages: Packages, tenant: Tenant) -> None:
    sent = (packages.post(tenant, apkg(), key="k", version="1.0.0", file_first=n % 2 == 0) for n in range(20))
    answers = await asyncio.gather(*sent)
    assert {answer.status for answer in answers} == {202}
    assert len({json.dumps(answer.body) for answer in answers}) == 1
    assert sum(answer.headers.get("Idempotent-Replayed") == "true" for answer in answers) == 19
    [deployment_id] = await submissions(packages)
    assert str(deployment_id) == answers[0].body["deployment"]["id"]
    await packages.nothing_left_but(await packages.submitted(deployment_id))


async def test_another_file_field_or_query_is_another_request(packages: Packages, tenant: Tenant) -> None:
    first = await packages.post(tenant, apkg(), key="k", version="1.0.0", environment='{"A": "secret"}')
    assert first.status == 202
    others: tuple[tuple[bytes, dict[str, Any]], ...] = (
        (apkg("1.1.0"), {"version": "1.0.0", "environment": '{"A": "secret"}'}),
        (apkg(), {"version": "1.1.0", "environment": '{"A": "secret"}'}),
        (apkg(), {"version": "1.0.0", "environment": '{"A": "other"}'}),
        (apkg(), {"version": "1.0.0"}),
    )
    for package, fields in others:
        refused = await packages.post(tenant, package, key="k", **fields)
        assert (refused.status, refused.body["code"]) == (422, "idempotency_mismatch")
    assert len(await submissions(packages)) == 1
    [row] = await packages.rows("SELECT fingerprint, answer, outcome FROM state.claims")
    assert "secret" not in str(row)


async def test_a_refusal_of_the_package_is_answered_again(packages: Packages, tenant: Tenant) -> None:
    bad = apkg(changes={".env": None})
    first, again = [await packages.post(tenant, bad, key="k", version="1.0.0") for _ in range(2)]
    assert (first.status, again.status, again.body) == (400, 400, first.body)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await packages.post(tenant, apkg(), key="k2", version="1.0.0")).status == 202


async def test_what_was_cut_off_before_its_commit_is_done_then(packages: Packages, tenant: Tenant) -> None:
    first = await packages.post(tenant, apkg(), key="k", version="1.0.0")
    await change(packages, NEVER_COMMITTED)
    again = await packages.post(tenant, apkg("1.0.0"), key="k", version="1.0.0")
    assert (first.status, again.status, again.body["code"]) == (202, 400, "version_exists"), "it was tried for real"


async def test_what_was_cut_off_after_its_commit_is_answered_and_not_done_again(
    packages: Packages, tenant: Tenant
) -> None:
    first = await packages.post(tenant, apkg(), key="k", version="1.0.0")
    told = await packages.submitted(UUID(first.body["deployment"]["id"]))
    await change(packages, CUT_OFF)
    again = await packages.post(tenant, apkg(), key="k", version="1.0.0")
    assert (again.status, again.body, "Idempotent-Replayed" in again.headers) == (202, first.body, False)
    assert await submissions(packages) == [told.deployment_id]
    await packages.nothing_left_but(told)


async def test_a_decision_that_fell_meanwhile_is_the_answer(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(decision_wait_seconds=5.0)
    first = asyncio.create_task(packages.post(tenant, apkg(), key="k", version="1.0.0"))
    told = await packages.next_submitted()
    parallel = asyncio.create_task(packages.post(tenant, apkg(), key="k", version="1.0.0"))
    await packages.abort(told, Outcome.REJECTED, required=9, available=1)
    answers = [await first, await parallel]
    assert [answer.status for answer in answers] == [402, 402]
    assert answers[0].body == answers[1].body
    await change(packages, CUT_OFF)
    again = await packages.post(tenant, apkg(), key="k", version="1.0.0")
    assert (again.status, again.body["required"], len(await submissions(packages))) == (402, 9, 1)


async def test_an_upload_and_a_stored_deploy_are_done_once_too(packages: Packages, tenant: Tenant) -> None:
    first = await packages.post(tenant, apkg(), to="", key="u", version="1.0.0")
    assert first.status == 201, first
    again = await packages.post(tenant, apkg(), to="", key="u", version="1.0.0")
    assert (again.body, again.headers["Idempotent-Replayed"]) == (first.body, "true")
    await change(packages, CUT_OFF)
    assert (await packages.post(tenant, apkg(), to="", key="u", version="1.0.0")).body == first.body
    path, headers = f"{tenant.path}/{first.body['package']['id']}/deploy", {"Idempotency-Key": "s"}
    sent = (packages.call("POST", path, tenant, json={}, headers=headers) for _ in range(5))
    deployed = await asyncio.gather(*sent)
    assert {answer.status for answer in deployed} == {202}
    assert len({answer.body["deployment"]["id"] for answer in deployed}) == 1
    await change(packages, CUT_OFF)
    assert (await packages.call("POST", path, tenant, json={}, headers=headers)).body == deployed[0].body
    assert len(await submissions(packages)) == 1


async def test_without_a_key_each_is_a_request_of_its_own(packages: Packages, tenant: Tenant) -> None:
    first, again = [await packages.post(tenant, apkg(), version="1.0.0") for _ in range(2)]
    assert (first.status, again.status, again.body["code"]) == (202, 400, "version_exists")
