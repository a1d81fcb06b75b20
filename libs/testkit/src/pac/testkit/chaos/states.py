"""What a PAC has come to: without ids and times, to compare two runs; and with them, to see whether anything moved."""

from collections.abc import Mapping, Sequence
from typing import Any

from pac.contracts.topics import ServiceName
from pac.testkit.chaos.load import Load
from pac.testkit.pac_up import Tenant
from pac.testkit.whole import BILLING, HEADS, PACKAGES, World

VERSIONS = """
SELECT v.version, p.status, array_to_string(p.done, ' '), v.beside_id IS NOT NULL FROM state.versions v
LEFT JOIN state.packages p USING (package_id) WHERE v.app_id = %s ORDER BY v.version
"""
PACKAGE_STATES = "SELECT version, status FROM state.packages WHERE app_id = %s ORDER BY version, status"
BALANCE = "SELECT available, reserved, spent FROM state.balances WHERE account_id = %s"
Heads = dict[tuple[ServiceName, str], int]


async def final_states(load: Load) -> dict[str, Any]:
    """By the number of the tenant. Who was told 402 and who was told 202 and then rejected have come to the same."""
    found: dict[str, Any] = {}
    for number, tenant in enumerate(load.tenants):
        found[f"tenant {number}: deployments"] = sorted(
            (
                about.version,
                about.kind.value,
                about.end.get("status", "open"),
                about.end.get("error_code") or "",
                " ".join(f"{step['name']}={step['status']}" for step in about.end["progress"]["steps"]),
            )
            for about in load.accepted.values()
            if about.tenant == tenant and about.end and about.end.get("outcome") != "rejected"
        )
    tables = await tables_of(World.of(load.bench.pac.status), load.tenants)
    return found | {f"tenant {number}: {name}": rows for (number, name), rows in tables.items()}


async def tables_of(world: World, tenants: Sequence[Tenant]) -> dict[tuple[int, str], Any]:
    found: dict[tuple[int, str], Any] = {}
    for number, tenant in enumerate(tenants):
        found[number, "versions"] = await world.rows(PACKAGES, VERSIONS, tenant.app_id)
        found[number, "packages"] = await world.rows(PACKAGES, PACKAGE_STATES, tenant.app_id)
        found[number, "balance"] = await world.rows(BILLING, BALANCE, tenant.account_id)
    return found


def differences(one: Mapping[Any, Any], other: Mapping[Any, Any]) -> list[str]:
    return [
        f"{name}: {one.get(name)} before, now {other.get(name)}"
        for name in sorted({*one, *other}, key=str)
        if one.get(name) != other.get(name)
    ]


async def heads_of(world: World) -> Heads:
    """The last version of every stream of every log: nothing has happened where it stays."""
    return {(one, stream): version for one in ServiceName for stream, version in await world.rows(one, HEADS)}
