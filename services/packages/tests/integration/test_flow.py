"""A submission with the hub and billing around it: the waiting request, the three steps, and every end."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from pac.contracts.base import Outcome, Step
from pac.contracts.deployments import AppStopped
from pac.contracts.identity import Scope
from pac.contracts.packages import (
    PackageDescribed,
    PackageRejected,
    PackageStored,
    PackageSubmitted,
    PackageValidated,
    PackageWithdrawn,
)
from pac.contracts.topics import ServiceName
from pac.eventlog import TooEarly
from pac.servicekit.sealing import environment_context, open_sealed

from .conftest import PackagesOf
from .harness import NOON, SEALING_KEY, Packages, Tenant, apkg, damaged

# ---- the waiting request -------------------------------------------------------------------------------------------


async def test_202_is_answered_when_billing_has_reserved(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(decision_wait_seconds=20.0)
    request = asyncio.create_task(packages.post(tenant, apkg()))
    told = await packages.next_submitted()
    assert not request.done()
    await packages.reserve(told)
    answer = await asyncio.wait_for(request, 5)
    assert (answer.status, answer.body["deployment"]["id"]) == (202, str(told.deployment_id))


async def test_402_is_answered_when_the_hub_has_rejected_it(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(decision_wait_seconds=20.0)
    request = asyncio.create_task(packages.post(tenant, apkg()))
    told = await packages.next_submitted()
    await packages.abort(told, Outcome.REJECTED, required=10, available=5)
    answer = await asyncio.wait_for(request, 5)
    assert answer.status == 402
    body = {name: answer.body[name] for name in ("error", "required", "available", "code")}
    assert body == {
        "error": "Insufficient credits",
        "required": 10,
        "available": 5,
        "code": "insufficient_credits",
    }
    assert [type(e) for e in await packages.said(told.deployment_id, 2)] == [PackageSubmitted, PackageWithdrawn]
    assert (await packages.row(told.package_id)).status == "withdrawn"


async def test_another_end_is_a_202_whose_status_shows_it(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(decision_wait_seconds=20.0)
    request = asyncio.create_task(packages.post(tenant, apkg()))
    await packages.abort(await packages.next_submitted(), Outcome.CANCELLED)
    assert (await asyncio.wait_for(request, 5)).status == 202


async def test_a_relay_that_is_behind_and_sigterm_are_not_waited_out(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(decision_wait_seconds=30.0, relay_backlog_seconds=0.5)
    request = asyncio.create_task(packages.post(tenant, apkg("1.0.0")))
    assert (await asyncio.wait_for(request, 10)).status == 202  # nobody relays here: its own event grows old
    packages.running.stopping.set()
    assert (await asyncio.wait_for(packages.post(tenant, apkg("1.0.1")), 10)).status == 202


async def test_a_database_that_hangs_does_not_hold_the_answer(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(decision_wait_seconds=1.0)
    async with packages.log.engine.connect() as connection:
        request = asyncio.create_task(packages.post(tenant, apkg()))
        await packages.next_submitted()
        await connection.execute(text("LOCK TABLE state.submissions IN ACCESS EXCLUSIVE MODE"))
        assert (await asyncio.wait_for(request, 5)).status == 202


async def test_a_claim_that_waited_until_its_bytes_were_swept_is_not_accepted(
    packages_of: PackagesOf, tenant: Tenant
) -> None:
    packages = await packages_of(holder_wait_seconds=10.0)
    told = await packages.deployed(tenant, apkg())
    second = asyncio.create_task(packages.post(tenant, apkg()))
    async with asyncio.timeout(10):
        while not (noted := await packages.rows("SELECT key FROM state.leftovers")):  # noqa: ASYNC110 - until it is
            await asyncio.sleep(0.01)
        while not await packages.keys(noted[0].key):  # noqa: ASYNC110 - until it has come in
            await asyncio.sleep(0.01)
    assert await packages.sweep.leftovers.sweep(noted[0].key, timedelta(0))
    assert not await packages.sweep.leftovers.sweep(told.object_key, timedelta(0)), "nobody sweeps what is in use"
    await packages.abort(told)
    assert (await asyncio.wait_for(second, 8)).status == 503
    assert (await packages.objects.head(told.object_key)).size_bytes == told.size_bytes
    await packages.nothing_left_but(told)


# ---- steps ---------------------------------------------------------------------------------------------------------


async def test_the_three_steps_are_answered_and_the_bytes_move_to_their_content_address(
    packages: Packages, tenant: Tenant
) -> None:
    package = apkg()
    told = await packages.deployed(tenant, package)
    await packages.stepped(told)
    events = await packages.said(told.deployment_id, 4)
    assert [type(event) for event in events] == [PackageSubmitted, PackageValidated, PackageStored, PackageDescribed]
    stored = events[2]
    assert isinstance(stored, PackageStored)
    assert stored.object_key == f"packages/{tenant.account_id}/{told.sha256}"
    assert await packages.objects.get_bytes(stored.object_key) == package
    row = await packages.row(told.package_id)
    assert (row.status, row.done, row.staging_key) == (
        "stored",
        ["validate_package", "upload_to_s3", "generate_metadata"],
        None,
    )
    assert [file["name"] for file in row.metadata["files"]] == ["manifest.json", ".env", "src/main.py"]
    await packages.nothing_left(events=4)


async def test_a_new_attempt_of_a_done_step_is_answered_with_its_number(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, apkg())
    await packages.order(told, Step.VALIDATE_PACKAGE, 1)
    await packages.said(told.deployment_id, 2)
    await packages.order(told, Step.VALIDATE_PACKAGE, 2)
    answers = (await packages.said(told.deployment_id, 3))[1:]
    assert [(type(event), event.model_dump()["attempt"]) for event in answers] == [
        (PackageValidated, 1),
        (PackageValidated, 2),
    ]


async def test_two_attempts_at_once_are_each_answered(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(work=False)
    told = await packages.deployed(tenant, apkg())
    await packages.order(told, Step.VALIDATE_PACKAGE, 1)
    await packages.order(told, Step.VALIDATE_PACKAGE, 2)
    assert len(await packages.rows("SELECT 1 FROM state.jobs")) == 2
    [worker] = [reader for reader in packages.running.service.readers if reader.name == "worker-steps"]
    task = asyncio.create_task(worker.run())
    answers = (await packages.said(told.deployment_id, 3))[1:]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(event.model_dump()["attempt"] for event in answers) == [1, 2]


async def test_a_damaged_package_is_rejected_for_every_attempt(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, damaged())
    await packages.order(told, Step.VALIDATE_PACKAGE, 1)
    await packages.said(told.deployment_id, 2)
    await packages.order(told, Step.VALIDATE_PACKAGE, 2)
    answers = (await packages.said(told.deployment_id, 3))[1:]
    assert all(isinstance(event, PackageRejected) for event in answers)
    first = answers[0]
    assert isinstance(first, PackageRejected)
    assert [problem.code for problem in first.problems] == ["checksum_wrong"]
    await packages.abort(told)
    shown = await packages.call("GET", f"{tenant.path}/{told.package_id}", tenant)
    assert shown.body["package"]["status"] == "rejected"
    assert (await packages.post(tenant, apkg())).status == 202


async def test_an_order_for_an_unknown_submission_is_too_early(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, apkg())
    stranger = told.model_copy(update={"deployment_id": UUID(int=1)})
    for news in (packages.order(stranger, Step.VALIDATE_PACKAGE), packages.abort(stranger), packages.reserve(stranger)):
        with pytest.raises(TooEarly):
            await news


# ---- ends ----------------------------------------------------------------------------------------------------------


async def test_an_abort_withdraws_frees_the_version_and_cancels_the_work(
    packages_of: PackagesOf, tenant: Tenant
) -> None:
    packages = await packages_of(work=False)
    told = await packages.deployed(tenant, apkg())
    await packages.order(told, Step.VALIDATE_PACKAGE)
    assert len(await packages.rows("SELECT 1 FROM state.jobs")) == 1
    await packages.abort(told)
    assert await packages.rows("SELECT 1 FROM state.jobs") == []
    withdrawn = (await packages.said(told.deployment_id, 2))[1]
    assert isinstance(withdrawn, PackageWithdrawn)
    assert withdrawn.freed
    assert (await packages.objects.head(told.object_key)).size_bytes == told.size_bytes  # kept for a retry
    await packages.order(told, Step.VALIDATE_PACKAGE, 2)
    await packages.abort(told, repeated=1)
    assert len(await packages.said(told.deployment_id, 2)) == 2
    assert (await packages.post(tenant, apkg())).status == 202


async def test_an_end_that_is_heard_while_a_claim_waits_lets_it_in(packages_of: PackagesOf, tenant: Tenant) -> None:
    packages = await packages_of(holder_wait_seconds=10.0)
    told = await packages.deployed(tenant, apkg())
    second = asyncio.create_task(packages.post(tenant, apkg()))
    while not packages.temporary():  # noqa: ASYNC110 - until it has come in
        await asyncio.sleep(0.01)
    await packages.abort(told)
    assert (await asyncio.wait_for(second, 8)).status == 202


async def test_an_overwrite_takes_the_version_when_it_completes(packages: Packages, tenant: Tenant) -> None:
    old = UUID((await packages.post(tenant, apkg(), to="")).body["package"]["id"])
    told = await packages.deployed(tenant, apkg(changes={"src/new.py": b"1"}), force_overwrite="true")
    assert told.force_overwrite
    assert (await packages.post(tenant, apkg(), force_overwrite="true")).status == 400
    await packages.stepped(told)
    assert (await packages.row(old)).status == "stored"
    await packages.complete(told)
    assert (await packages.row(old)).status == "superseded"
    assert (await packages.row(old)).superseded_by == told.package_id
    [[holder]] = await packages.rows("SELECT package_id FROM state.versions WHERE beside_id IS NULL")
    assert holder == told.package_id
    events = [told.event.type for told in await packages.log.history(f"package-{old}")]
    assert events == ["PackageUploaded", "PackageSuperseded"]


async def test_an_overwrite_that_fails_leaves_the_old_one(packages: Packages, tenant: Tenant) -> None:
    old = UUID((await packages.post(tenant, apkg(), to="")).body["package"]["id"])
    told = await packages.deployed(tenant, apkg(changes={"src/new.py": b"1"}), force_overwrite="true")
    await packages.abort(told)
    assert await packages.rows("SELECT package_id, beside_id FROM state.versions") == [(old, None)]


async def test_delete_says_what_uses_the_package(packages: Packages, tenant: Tenant) -> None:
    told = await packages.deployed(tenant, apkg())
    path = f"{tenant.path}/{told.package_id}"
    await packages.stepped(told)
    used = await packages.call("DELETE", path, tenant)
    assert (used.status, used.body["code"]) == (409, "package_in_use")
    assert used.body["used_by"] == [{"deployment_id": str(told.deployment_id)}]
    assert (await packages.call("DELETE", f"{path}?force=true", tenant)).status == 409
    await packages.complete(told)
    current = await packages.call("DELETE", path, tenant)
    assert (current.status, current.body["code"]) == (409, "package_in_use")
    assert current.body["used_by"] == [{"deployment_id": str(told.deployment_id), "current_release": True}]
    assert "?force=true" in current.body["hint"]
    member = replace(tenant, scopes=frozenset({Scope.DEPLOY, Scope.READ}))
    refused = await packages.call("DELETE", f"{path}?force=true", member)
    assert (refused.status, refused.body["scope"]) == (403, "admin")
    assert (await packages.call("DELETE", f"{path}?force=true", tenant)).status == 200


async def test_who_may_deploy_may_delete_what_does_not_run(packages: Packages, tenant: Tenant) -> None:
    package_id = (await packages.post(tenant, apkg(), to="")).body["package"]["id"]
    member = replace(tenant, scopes=frozenset({Scope.DEPLOY}))
    assert (await packages.call("DELETE", f"{tenant.path}/{package_id}?force=true", member)).status == 200


async def test_what_uses_an_app_is_told_once_the_ends_are_heard(packages: Packages, tenant: Tenant) -> None:
    path = f"/internal/apps/{tenant.app_id}/use"
    first, second = [await packages.deployed(tenant, apkg(f"1.0.{number}")) for number in range(2)]
    await packages.deployed(Tenant(account_id=tenant.account_id), apkg())
    asked = asyncio.create_task(packages.call("GET", path, tenant))
    told = [{"deployment_id": str(one.deployment_id)} for one in (first, second)]
    assert (await packages.call("GET", path, tenant)).body == {"used_by": told}
    await asked
    asked = asyncio.create_task(packages.call("GET", path, tenant))
    await packages.abort(first)
    await packages.complete(second)
    runs = {"deployment_id": str(second.deployment_id), "current_release": True}
    assert (await asked).body == {"used_by": [runs]}, "it has waited for the ends that were on their way"
    assert (await packages.call("GET", path, Tenant())).status == 404


async def test_what_was_stopped_does_not_use_its_app(packages: Packages, tenant: Tenant) -> None:
    """In whatever order it is heard: an app's and a deployment's news are of two streams."""

    async def users() -> list[str]:
        answer = await packages.call("GET", f"/internal/apps/{tenant.app_id}/use", tenant)
        return [used["deployment_id"] for used in answer.body["used_by"]]

    async def stop(release: int) -> None:
        event = AppStopped(account_id=tenant.account_id, at=NOON, agent_app_id=tenant.app_id, release=release)
        await packages.hear(ServiceName.DEPLOYMENTS, f"appstate-{tenant.app_id}", event)

    first, second = [await packages.deployed(tenant, apkg(f"1.0.{number}")) for number in range(2)]
    await stop(1)
    await packages.complete(first, 1)
    assert await users() == [str(second.deployment_id)]
    await packages.complete(second, 2)
    assert await users() == [str(second.deployment_id)], "a later release has started it again"
    await stop(2)
    assert await users() == []


async def test_current_moves_only_to_a_higher_release_that_is_current(packages: Packages, tenant: Tenant) -> None:
    one, two, three = [await packages.deployed(tenant, apkg(f"1.0.{n}")) for n in range(3)]
    assert [told.no for told in (one, two, three)] == [1, 2, 3]
    await packages.complete(two, release=2)
    await packages.complete(one, release=1)
    await packages.complete(three, release=3, current=False)
    assert await packages.rows("SELECT current_release, current_package_id FROM state.apps") == [(2, two.package_id)]


# ---- the environment -----------------------------------------------------------------------------------------------


async def test_the_environment_is_sealed_for_the_notifier_and_stands_nowhere_else(
    packages: Packages, tenant: Tenant, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {"API_KEY": "hunter2-hunter2", "MODE": "fast"}
    told = await packages.deployed(tenant, apkg(), environment=json.dumps(values))
    again = await packages.deployed(tenant, apkg("1.0.1"), environment=json.dumps({**values, "MODE": "slow"}))
    assert told.environment is not None
    assert again.environment is not None
    assert told.environment.object_key == f"sealed/{told.deployment_id}"
    assert told.environment.names == ("API_KEY", "MODE")
    assert told.environment.fingerprints["API_KEY"] == again.environment.fingerprints["API_KEY"]
    assert told.environment.fingerprints["MODE"] != again.environment.fingerprints["MODE"]
    sealed = await packages.objects.get_bytes(told.environment.object_key)
    opened = open_sealed(SEALING_KEY.private_bytes_raw(), sealed, environment_context(told.deployment_id))
    assert json.loads(opened) == values
    assert b"hunter2" not in sealed
    for table in ("log.events", "state.packages", "state.submissions", "state.leftovers"):
        rows = await packages.rows(str(text(f"SELECT t::text FROM {table} AS t")))  # noqa: S608 - names above
        assert "hunter2" not in str(rows)
    assert "hunter2" not in capsys.readouterr().out


async def test_a_refused_deploy_leaves_no_sealed_environment(packages: Packages, tenant: Tenant) -> None:
    answers = await asyncio.gather(
        *(packages.post(tenant, apkg(), environment='{"A": "1"}', version="1.0.0") for _ in range(4))
    )
    assert sorted(answer.status for answer in answers) == [202, 400, 400, 400]
    assert len(await packages.keys("sealed/")) == 1
    assert len(await packages.keys("staging/")) == 1
    assert await packages.rows("SELECT key FROM state.leftovers") == []
