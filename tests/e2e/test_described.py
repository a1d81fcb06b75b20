"""Every route that only reads, asked of the five services: its answer is the described one, to the field."""

import re
from pathlib import Path
from typing import Any

import pytest

from pac.gateway.openapi import document
from pac.testkit.agents import packed_agent
from pac.testkit.described import NotDescribed, contract
from pac.testkit.pac_up import Pac, Tenant

READS = [path for path, methods in document()["paths"].items() if "get" in methods]
NOWHERE = "00000000-0000-4000-8000-000000000000"


@pytest.fixture
async def ids(pac: Pac, tenant: Tenant, folder: Path) -> dict[str, str]:
    """By the names that paths have for them, of what there is after one deployment."""
    accepted = await pac.deploy(tenant, packed_agent(folder), "1.0.0")
    assert accepted.status == 202, accepted
    deployment, package = accepted.body["deployment"]["id"], accepted.body["package"]["id"]
    await pac.ended(deployment, tenant.key)
    hooks = f"/api/agent-apps/{tenant.app_id}/webhooks"
    hook = await pac.call("POST", hooks, tenant.key, json={"url": "http://127.0.0.1:9/nobody"})
    assert hook.status == 201, hook
    return {
        "app_id": tenant.app_id,
        "account_id": tenant.account_id,
        "deployment_id": deployment,
        "package_id": package,
        "hook_id": hook.body["webhook"]["id"],
    }


async def test_every_read_answers_as_described(pac: Pac, tenant: Tenant, ids: dict[str, str]) -> None:
    for path in READS:
        said = document()["paths"][path]["get"]
        is_operators = any("admin_key" in way for way in said["security"])
        asked = re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], path)
        key = str(pac.status["admin_key"]) if is_operators else tenant.key
        answer = await pac.call("GET", asked, key)  # which checks it
        wanted = min(int(status) for status in said["responses"])
        assert answer.status == wanted, (path, answer)
        if said["security"]:
            assert (await pac.call("GET", asked)).status == 401, path
            problem = await pac.call("GET", asked, headers={"Accept": "application/problem+json"})
            assert problem.headers["Content-Type"].startswith("application/problem+json"), path
        if "{" in path:
            nowhere = re.sub(r"\{\w+\}", NOWHERE, path)
            assert (await pac.call("GET", nowhere, key)).status == 404, path


async def test_a_stream_of_events_is_described_beside_the_page(pac: Pac, tenant: Tenant, ids: dict[str, str]) -> None:
    path = f"/api/deployments/{ids['deployment_id']}/events"
    stream = await pac.call("GET", path, tenant.key, headers={"Accept": "text/event-stream"})
    assert (stream.status, stream.headers["Content-Type"]) == (200, "text/event-stream")
    version = stream.body.count("\nid: ")
    over = {"Accept": "text/event-stream", "Last-Event-ID": str(version)}
    assert (await pac.call("GET", path, tenant.key, headers=over)).status == 204


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, {"account_id": NOWHERE, "available": 1, "reserved": 0, "spent": 0, "more": 1}, "more"),
        (200, {"account_id": NOWHERE, "available": "1", "reserved": 0, "spent": 0}, "is not of type 'integer'"),
        (200, {"account_id": "x", "available": 1, "reserved": 0, "spent": 0}, "is not a 'uuid'"),
        (200, {"account_id": NOWHERE, "available": 1, "reserved": 0}, "'spent' is a required property"),
        (418, {}, "this status is not described"),
    ],
)
def test_an_answer_that_is_not_described_is_told(status: int, body: Any, fault: str) -> None:
    headers = {"Content-Type": "application/json", "X-Request-Id": "r"}
    with pytest.raises(NotDescribed, match=fault):
        contract().check("GET", "/api/credits", status, headers, body)
    with pytest.raises(NotDescribed, match="header X-Request-Id is missing"):
        contract().check("GET", "/api/credits", 200, {"Content-Type": "application/json"}, body)
