"""Fifty requests at the same moment, for ten credits and for one version: `make test-chaos`."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from pac.testkit.agents import packed_agent
from pac.testkit.chaos import bench
from pac.testkit.holds import holding
from pac.testkit.laws import laws_hold

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(600)]
AT_ONCE = 50


async def test_ten_credits_pay_for_ten_of_fifty_deployments_at_once(tmp_path: Path) -> None:
    law = "ten answers 202, forty 402, the ledger sums to zero"
    fault = "fifty deployments of 1 credit at once, 10 credits"
    load = f"{AT_ONCE} deployments"
    row = holding("ten-credits", fault=fault, load=load, law=law)
    with row as figures:
        async with bench(tmp_path) as running:
            tenant = await running.pac.tenant(credits=10)
            packages = [packed_agent(tmp_path, version=f"1.{number}.0") for number in range(AT_ONCE)]
            posts = (running.pac.deploy(tenant, package, f"1.{n}.0") for n, package in enumerate(packages))
            answers = await asyncio.gather(*posts)
            assert Counter(answer.status for answer in answers) == {202: 10, 402: 40}
            for answer in answers:
                if answer.status == 202:
                    end = await running.pac.ended(answer.body["deployment"]["id"], tenant.key)
                    assert end["status"] == "completed"
            await laws_hold(running.pac.status, patience_seconds=60)
            balance = (await running.pac.call("GET", "/api/credits", tenant.key)).body
            assert (balance["available"], balance["reserved"], balance["spent"]) == (0, 0, 10)
            figures |= {"202": 10, "402": 40}


async def test_one_of_fifty_deployments_of_a_version_at_once_is_accepted(tmp_path: Path) -> None:
    law = 'one answer 202, 49 "Version already exists", one hold'
    fault = "fifty deployments of one version at once"
    load = f"{AT_ONCE} deployments"
    row = holding("one-version", fault=fault, load=load, law=law)
    with row as figures:
        async with bench(tmp_path) as running:
            tenant = await running.pac.tenant()
            before = await running.pac.credits_opened(tenant.key)
            package = packed_agent(tmp_path)
            answers = await asyncio.gather(*(running.pac.deploy(tenant, package, "1.0.0") for _ in range(AT_ONCE)))
            assert Counter(answer.status for answer in answers) == {202: 1, 400: 49}
            refused = [answer.body for answer in answers if answer.status == 400]
            assert all(body["details"] == ["Version already exists"] for body in refused)
            accepted = next(answer.body for answer in answers if answer.status == 202)
            assert (await running.pac.ended(accepted["deployment"]["id"], tenant.key))["status"] == "completed"
            await laws_hold(running.pac.status, patience_seconds=60)
            after = (await running.pac.call("GET", "/api/credits", tenant.key)).body
            assert (after["available"], after["spent"]) == (before["available"] - 1, 1)
            figures |= {"202": 1, "400": 49}
