"""Fifty at once: for the same credits, and for the same version."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

from pac.testkit.agents import packed_agent
from pac.testkit.pac_up import Pac, Tenant

FIFTY = 50


async def app_of(pac: Pac, tenant: Tenant, number: int) -> Tenant:
    created = await pac.call("POST", "/api/agent-apps", tenant.key, json={"name": f"app {number}"})
    assert created.status == 201, created
    return replace(tenant, app_id=created.body["agent_app"]["id"])


async def test_fifty_deploys_of_one_credit_at_once_on_a_balance_of_ten(pac: Pac, folder: Path) -> None:
    """An app each: in one app a newer one may overtake an older, and its credit would serve an eleventh.

    A decision that takes longer than the request may wait is a 202 as well, and ends as rejected.
    """
    tenant = await pac.tenant(credits=10)
    package = packed_agent(folder)
    apps = [await app_of(pac, tenant, number) for number in range(FIFTY)]
    answers = await asyncio.gather(*(pac.deploy(app, package, "1.0.0") for app in apps))
    assert {answer.status for answer in answers} == {202, 402}
    accepted = [answer.body["deployment"]["id"] for answer in answers if answer.status == 202]
    ends = [await pac.ended(deployment, tenant.key) for deployment in accepted]
    late = [end for end in ends if end["outcome"] == "rejected"]
    assert [end["outcome"] for end in ends if end not in late] == ["succeeded"] * 10
    assert all((end["error_code"], end["required"]) == ("insufficient_credits", 1) for end in late)
    balance = (await pac.call("GET", "/api/credits", tenant.key)).body
    assert {name: balance[name] for name in ("available", "reserved", "spent")} == {
        "available": 0,
        "reserved": 0,
        "spent": 10,
    }


async def test_fifty_deploys_of_one_version_at_once(pac: Pac, tenant: Tenant, folder: Path) -> None:
    package = packed_agent(folder)
    answers = await asyncio.gather(*(pac.deploy(tenant, package, "1.0.0") for _ in range(FIFTY)))
    assert Counter(answer.status for answer in answers) == {202: 1, 400: 49}
    refused = [answer.body for answer in answers if answer.status == 400]
    assert all(body["details"] == ["Version already exists"] for body in refused)
    (accepted,) = [answer.body for answer in answers if answer.status == 202]
    assert {body["existing"]["deployment_id"] for body in refused} == {accepted["deployment"]["id"]}
    assert (await pac.ended(accepted["deployment"]["id"], tenant.key))["status"] == "completed"
    entries = (await pac.call("GET", "/api/credits/ledger", tenant.key)).body["entries"]
    assert [entry["kind"] for entry in entries] == ["capture", "reserve", "grant"]
