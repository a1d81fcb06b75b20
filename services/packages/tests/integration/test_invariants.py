"""The live laws of packages: a submission that nobody has answered for minutes is named, and bytes that are lost."""

from typing import Any

from pac.packages.invariants import laws_of_packages
from pac.servicekit.invariants import Invariants

from .harness import Packages, Tenant, apkg


async def told(packages: Packages, name: str = "submissions_are_heard") -> dict[str, Any]:
    judged = await Invariants(packages.log, laws_of_packages(packages.objects)).look()
    assert judged.unchecked == []
    return next(law for law in judged.laws if law["name"] == name)


async def test_a_submission_unheard_for_long_is_named(packages: Packages, tenant: Tenant) -> None:
    reserved, waits, ended = [await packages.deployed(tenant, apkg(f"1.0.{number}")) for number in range(3)]
    await packages.reserve(reserved)
    await packages.abort(ended)
    async with packages.log.reading() as connection:
        await connection.exec_driver_sql("UPDATE state.submissions SET queued_at = now() - interval '290 s'")
    assert (await told(packages))["holds"]
    async with packages.log.reading() as connection:
        await connection.exec_driver_sql("UPDATE state.submissions SET queued_at = now() - interval '10 min'")
    law = await told(packages)
    assert (law["holds"], law["checked"]) == (False, 2)
    assert law["detail"] == f"deployment {waits.deployment_id} has been undecided for 600 s"


async def test_an_object_that_is_lost_is_named(packages: Packages, tenant: Tenant) -> None:
    stored = [await packages.post(tenant, apkg(f"1.0.{number}"), to="") for number in range(3)]
    await packages.deployed(tenant, apkg("2.0.0"))
    law = await told(packages, "stored_bytes_are_there")
    assert (law["holds"], law["checked"]) == (True, 3)
    key = f"packages/{tenant.account_id}/{stored[1].body['package']['sha256']}"
    await packages.objects.put_bytes(key, b"x")
    law = await told(packages, "stored_bytes_are_there")
    assert (law["holds"], law["detail"]) == (False, f"{key} has 1 bytes, not {stored[1].body['package']['size']}")
    await packages.objects.delete(key)
    assert (await told(packages, "stored_bytes_are_there"))["detail"] == f"{key} is missing"
