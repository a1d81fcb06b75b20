"""A change of secrets as a new release of what runs: when it is made, once, of what, and when not."""

import json

from pac.contracts.base import Source
from pac.contracts.deployments import AppStopped
from pac.contracts.packages import PackageSubmitted
from pac.contracts.runtime_notifier import SecretsChanged
from pac.contracts.topics import ServiceName
from pac.packages.domain.submission import OWN_STEPS
from pac.testkit.eventually import eventually

from .harness import NOON, Packages, Tenant, apkg


async def change_secrets(packages: Packages, tenant: Tenant, version: int, *, redeploys: bool = True) -> None:
    event = SecretsChanged(
        account_id=tenant.account_id,
        at=NOON,
        agent_app_id=tenant.app_id,
        names=("LEVEL",),
        secrets_version=version,
        redeploys=redeploys,
    )
    await packages.hear(ServiceName.RUNTIME_NOTIFIER, f"secrets-{tenant.app_id}", event)


async def released(packages: Packages, tenant: Tenant, release: int, version: str) -> PackageSubmitted:
    told = await packages.deployed(tenant, apkg(version), environment=json.dumps({"API_KEY": "hunter2-hunter2"}))
    await packages.stepped(told)
    await packages.complete(told, release)
    return told


async def at_rest(packages: Packages) -> None:
    """No wish for a release is left."""

    async def none() -> bool:
        return not await packages.rows("SELECT 1 FROM state.jobs WHERE queue = 'redeploys'")

    await eventually(none)


async def submissions(packages: Packages) -> int:
    return len(await packages.rows("SELECT 1 FROM state.submissions"))


async def test_what_runs_is_deployed_once_more_with_its_environment_at_no_cost(
    packages: Packages, tenant: Tenant
) -> None:
    first = await released(packages, tenant, 1, "1.0.0")
    await change_secrets(packages, tenant, 1)
    told = await packages.next_submitted(after=first.no)
    assert (told.source, told.billable, told.done) == (Source.STORED, False, OWN_STEPS)
    assert (told.package_id, told.environment) == (first.package_id, first.environment)
    await at_rest(packages)
    assert await submissions(packages) == 2


async def test_what_is_on_its_way_comes_first_and_is_what_is_deployed_again(packages: Packages, tenant: Tenant) -> None:
    await released(packages, tenant, 1, "1.0.0")
    second = await packages.deployed(tenant, apkg("2.0.0"))
    await change_secrets(packages, tenant, 1)
    await change_secrets(packages, tenant, 2)

    async def looked() -> bool:
        return bool(await packages.rows("SELECT 1 FROM state.jobs WHERE queue = 'redeploys' AND run_at > now()"))

    await eventually(looked)  # it is looked at, and left for later
    assert await submissions(packages) == 2
    await packages.stepped(second)
    await packages.complete(second, 2)
    told = await packages.next_submitted(after=second.no)
    assert told.package_id == second.package_id
    await at_rest(packages)
    assert await submissions(packages) == 3


async def test_without_the_policy_or_without_anything_that_runs_nothing_is_deployed(
    packages: Packages, tenant: Tenant
) -> None:
    await change_secrets(packages, tenant, 1)
    await at_rest(packages)
    first = await released(packages, tenant, 1, "1.0.0")
    await change_secrets(packages, tenant, 2, redeploys=False)
    stopped = AppStopped(account_id=tenant.account_id, at=NOON, agent_app_id=tenant.app_id, release=1)
    await packages.hear(ServiceName.DEPLOYMENTS, f"appstate-{tenant.app_id}", stopped)
    await change_secrets(packages, tenant, 3)
    await at_rest(packages)
    assert await submissions(packages) == first.no == 1
