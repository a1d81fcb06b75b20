"""The live law of packages: a submission that nobody has answered for minutes is named, and no other."""

from typing import Any

from pac.packages.invariants import LAWS_OF_PACKAGES
from pac.servicekit.invariants import Invariants

from .harness import Packages, Tenant, apkg


async def told(packages: Packages) -> dict[str, Any]:
    judged = await Invariants(packages.log, LAWS_OF_PACKAGES).look()
    assert judged.unchecked == []
    [law] = judged.laws
    assert law["name"] == "submissions_are_heard"
    return law


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
