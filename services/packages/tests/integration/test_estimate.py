"""What a 202 says about how long it will take: from the deployments that finished last, and those before it."""

from datetime import timedelta

from pac.contracts.base import Step
from pac.contracts.packages import PackageSubmitted

from .harness import NOON, Packages, Tenant, apkg


async def estimated(packages: Packages, tenant: Tenant, version: str) -> int:
    answer = await packages.post(tenant, apkg(version))
    assert answer.status == 202, answer
    seconds: int = answer.body["deployment"]["estimated_duration_seconds"]
    return seconds


async def finished(packages: Packages, told: PackageSubmitted, seconds: float) -> None:
    await packages.order(told, Step.VALIDATE_PACKAGE)
    await packages.said(told.deployment_id, 2)
    await packages.order(told, Step.VALIDATE_PACKAGE, 2)  # another attempt does not begin it anew
    await packages.complete(told, release=told.no, at=NOON + timedelta(seconds=seconds))


async def test_120_until_five_have_finished_then_their_median(packages: Packages, tenant: Tenant) -> None:
    for number, seconds in enumerate((10.0, 20.0, 30.2, 40.0)):
        await finished(packages, await packages.deployed(tenant, apkg(f"1.0.{number}")), seconds)
    fifth = await packages.deployed(tenant, apkg("1.0.4"))
    assert await estimated(packages, Tenant(), "1.0.0") == 120
    await finished(packages, fifth, 300.0)
    assert await estimated(packages, Tenant(), "1.0.0") == 31


async def test_those_of_the_app_that_are_before_it_count(packages: Packages, tenant: Tenant) -> None:
    for number in range(5):
        await finished(packages, await packages.deployed(tenant, apkg(f"1.0.{number}")), 10.0)
    assert await estimated(packages, tenant, "2.0.0") == 10
    assert await estimated(packages, tenant, "2.0.1") == 20
    assert await estimated(packages, Tenant(), "2.0.0") == 10, "another app does not wait for it"


async def test_only_the_last_fifty_count(packages: Packages, tenant: Tenant) -> None:
    await finished(packages, await packages.deployed(tenant, apkg()), 10.0)
    async with packages.log.reading() as connection:
        await connection.exec_driver_sql(
            "INSERT INTO state.submissions (deployment_id, package_id, account_id, app_id, version, no, source, open,"
            " queued_at, started_at, completed_at) SELECT gen_random_uuid(), package_id, account_id, gen_random_uuid(),"
            " version, 1, source, false, queued_at, completed_at + n * interval '1 hour',"
            " completed_at + n * interval '1 hour' + CASE WHEN n > 60 THEN 7 ELSE 900 END * interval '1 second'"
            " FROM state.submissions, generate_series(1, 110) AS n"
        )
    assert await estimated(packages, Tenant(), "1.0.0") == 7
