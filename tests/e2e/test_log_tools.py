"""The operators' commands on a whole PAC that runs: everything is sound, also after replays and rebuilds."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from pac.contracts.topics import ServiceName
from pac.testkit.agents import packed_agent
from pac.testkit.pac_up import Pac, Tenant, command


async def told(pac: Pac, *arguments: str) -> Any:
    said = await command(*arguments, "-o", "json", "--state-dir", str(pac.state_dir))
    assert said.code == 0, said
    return json.loads(said.out)


@pytest.mark.timeout(300)  # fourteen calls of a command
async def test_logs_are_sound_and_replays_and_rebuilds_change_nothing(pac: Pac, tenant: Tenant, folder: Path) -> None:
    accepted = await pac.deploy(tenant, packed_agent(folder), "1.0.0")
    assert accepted.status == 202, accepted
    deployment = accepted.body["deployment"]["id"]
    assert (await pac.ended(deployment, tenant.key))["status"] == "completed"
    before = (await pac.call("GET", "/api/credits", tenant.key)).body
    shown = await told(pac, "log", "show", f"deployment-{deployment}")
    assert [shown["events"][at]["type"] for at in (0, -1)] == ["DeploymentQueued", "DeploymentCompleted"]
    verified = await told(pac, "log", "verify")
    assert verified["sound"]
    assert {one["service"] for one in verified["services"]} == {service.value for service in ServiceName}

    [projection] = (await told(pac, "projections", "list"))["projections"]
    rebuilt = await told(pac, "projections", "rebuild", projection["name"], "--service", projection["service"])
    assert rebuilt["same"]
    assert rebuilt["switched"]
    replays = (told(pac, "log", "replay", "--service", service.value) for service in ServiceName)
    assert all(replay["published"] > 0 for replay in await asyncio.gather(*replays))

    again = await pac.deploy(tenant, packed_agent(folder / "again", version="1.1.0"), "1.1.0")
    assert (await pac.ended(again.body["deployment"]["id"], tenant.key))["status"] == "completed"
    now = (await pac.call("GET", "/api/credits", tenant.key)).body
    assert (now["available"], now["reserved"], now["spent"]) == (before["available"] - 1, 0, before["spent"] + 1)
    history = await told(pac, "log", "show", f"deployment-{deployment}")
    assert history == shown, "the replay has added nothing"
    assert (await told(pac, "dlq", "list"))["messages"] == []
    assert (await told(pac, "log", "verify"))["sound"]
