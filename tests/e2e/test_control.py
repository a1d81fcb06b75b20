"""Control over deployments and over time, on a whole PAC: cancel, retry, once more, dry, lists, events, the past."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from pac.testkit.agents import packed_agent
from pac.testkit.eventually import eventually
from pac.testkit.pac_up import PATIENCE_SECONDS, Answer, Pac, Tenant, command

SLOW = """\
import time

time.sleep(8)


def handler(context):
    return context
"""


async def deployment_of(pac: Pac, tenant: Tenant, deployment: str) -> dict[str, Any]:
    answer = await pac.call("GET", f"/api/deployments/{deployment}", tenant.key)
    assert answer.status == 200, answer
    return dict(answer.body["deployment"])


async def completed(pac: Pac, tenant: Tenant, accepted: Answer) -> str:
    assert accepted.status == 202, accepted
    deployment = str(accepted.body["deployment"]["id"])
    assert (await pac.ended(deployment, tenant.key))["status"] == "completed"
    return deployment


async def credits_of(pac: Pac, tenant: Tenant) -> dict[str, int]:
    body = (await pac.call("GET", "/api/credits", tenant.key)).body
    return {name: body[name] for name in ("available", "reserved", "spent")}


async def test_a_deployment_is_cancelled_and_retried_from_the_step_it_had_reached(
    pac: Pac, tenant: Tenant, folder: Path
) -> None:
    before = await credits_of(pac, tenant)
    accepted = await pac.deploy(tenant, packed_agent(folder, main=SLOW), "1.0.0")
    deployment = accepted.body["deployment"]["id"]

    async def starting() -> bool:
        shown = await deployment_of(pac, tenant, deployment)
        return bool(shown["progress"]["current_step"] == "notify_runtime")

    await eventually(starting, seconds=PATIENCE_SECONDS)
    early = await pac.call("POST", f"/api/deployments/{deployment}/retry", tenant.key)
    assert (early.status, early.body["code"]) == (409, "deployment_open")
    cancelled = await pac.call("POST", f"/api/deployments/{deployment}/cancel", tenant.key)
    assert cancelled.status == 202, cancelled
    assert cancelled.body["deployment"]["id"] == deployment
    ended = await pac.ended(deployment, tenant.key)
    assert (ended["status"], ended["outcome"], ended["error_code"]) == ("failed", "cancelled", "cancelled")
    assert await credits_of(pac, tenant) == before
    late = await pac.call("POST", f"/api/deployments/{deployment}/cancel", tenant.key)
    assert (late.status, late.body["code"]) == (409, "already_finished")

    asked = (
        pac.call("POST", f"/api/deployments/{deployment}/retry", tenant.key, headers={"Idempotency-Key": "again"})
        for _ in range(5)
    )
    again, *same = await asyncio.gather(*asked)
    assert {answer.status for answer in (again, *same)} == {202}, same
    assert all(answer.body == again.body for answer in same)
    assert again.body["package"]["id"] == accepted.body["package"]["id"]
    shown = await deployment_of(pac, tenant, await completed(pac, tenant, again))
    assert (shown["source"], shown["retry_of"]) == ("retry", deployment)
    assert [step.get("skipped") for step in shown["progress"]["steps"]] == [True, True, True, None, None]
    now = await credits_of(pac, tenant)
    assert now == {"available": before["available"] - 1, "reserved": 0, "spent": before["spent"] + 1}
    done = await pac.call("POST", f"/api/deployments/{shown['id']}/retry", tenant.key)
    assert (done.status, done.body["code"]) == (409, "not_retriable")


async def test_a_stored_package_is_tried_dry_deployed_and_deleted_only_by_force(
    pac: Pac, tenant: Tenant, folder: Path
) -> None:
    before, packages = await credits_of(pac, tenant), f"/api/agent-apps/{tenant.app_id}/packages"
    package = packed_agent(folder)
    dry = await pac.call("POST", f"{packages}/deploy?dry_run=true", tenant.key, data={"file": package.open("rb")})
    assert dry.status == 200, dry
    assert dry.body["cost"] == 1
    assert (dry.body["available"], dry.body["balance_after"]) == (before["available"], before["available"] - 1)
    assert dry.body["sufficient"] is True
    assert (await pac.call("GET", packages, tenant.key)).body["packages"] == []
    assert await credits_of(pac, tenant) == before

    uploaded = await pac.call("POST", packages, tenant.key, data={"file": package.open("rb")})
    path = f"{packages}/{uploaded.body['package']['id']}"
    wish = {"release_notes": "Again", "environment": {"T_REQUEST": "request"}}
    deployment = await completed(pac, tenant, await pac.call("POST", f"{path}/deploy", tenant.key, json=wish))
    shown = await deployment_of(pac, tenant, deployment)
    assert shown["source"] == "stored"
    assert [step.get("skipped") for step in shown["progress"]["steps"]] == [True, True, True, None, None]
    assert (await credits_of(pac, tenant))["spent"] == before["spent"] + 1

    current = await pac.call("DELETE", path, tenant.key)
    assert (current.status, current.body["code"]) == (409, "package_in_use")
    assert current.body["used_by"] == [{"deployment_id": deployment, "current_release": True}]
    assert (await pac.call("DELETE", f"{path}?force=true", tenant.key)).status == 200
    assert (await pac.call("POST", f"{path}/deploy", tenant.key, json={})).status == 404


async def test_lists_show_what_one_shows_in_pages_and_by_filter(pac: Pac, tenant: Tenant, folder: Path) -> None:
    made = []
    for number in range(3):
        copy = packed_agent(folder / str(number), version=f"1.{number}.0")
        made.append(await completed(pac, tenant, await pac.deploy(tenant, copy, f"1.{number}.0")))
    path = f"/api/deployments?app={tenant.app_id}&status=completed&limit=2"

    async def projected() -> bool:
        listed = await pac.call("GET", "/api/deployments?status=completed", tenant.key)
        return len(listed.body["deployments"]) == 3

    await eventually(projected)
    first = await pac.call("GET", path, tenant.key)
    second = await pac.call("GET", f"{path}&cursor={first.body['next_cursor']}", tenant.key)
    assert second.body["next_cursor"] is None
    listed = first.body["deployments"] + second.body["deployments"]
    assert [each["id"] for each in listed] == list(reversed(made))
    for each in listed:
        assert await deployment_of(pac, tenant, each["id"]) == each
    other = await pac.tenant()
    foreign = await pac.call("GET", f"/api/deployments?app={tenant.app_id}", other.key)
    assert foreign.body == {"deployments": [], "next_cursor": None}


async def followed(pac: Pac, tenant: Tenant, deployment: str, *, cut_after: int) -> list[dict[str, Any]]:
    """Every event up to the end, on as many connections as it takes."""
    headers = {"Authorization": f"Bearer {tenant.key}", "Accept": "text/event-stream"}
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] not in ("DeploymentCompleted", "DeploymentFailed"):
        if found:
            headers["Last-Event-ID"] = str(found[-1]["version"])
        url, wanted = f"{pac.url}/api/deployments/{deployment}/events", len(found) + cut_after
        async with pac.http.get(url, headers=headers) as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")
            async for line in response.content:
                if line.startswith(b"data: "):
                    found.append(json.loads(line.removeprefix(b"data: ")))
                    if len(found) >= wanted:
                        break
            response.close()
    return found


async def test_events_are_followed_and_the_past_is_what_it_was(pac: Pac, tenant: Tenant, folder: Path) -> None:
    accepted = await pac.deploy(tenant, packed_agent(folder), "1.0.0")
    deployment = accepted.body["deployment"]["id"]
    path = f"/api/deployments/{deployment}"
    followers = (followed(pac, tenant, deployment, cut_after=cut) for cut in (1, 2, 1000))
    cut_often, cut_sometimes, whole = await asyncio.wait_for(asyncio.gather(*followers), PATIENCE_SECONDS)
    page = (await pac.call("GET", f"{path}/events", tenant.key)).body
    assert page == {"events": whole, "next_cursor": None}
    assert cut_often == cut_sometimes == whole
    over = {"Accept": "text/event-stream", "Last-Event-ID": str(len(whole))}
    assert (await pac.call("GET", f"{path}/events", tenant.key, headers=over)).status == 204
    assert [event["version"] for event in whole] == list(range(1, len(whole) + 1))

    async def past() -> list[tuple[int, str, Any]]:
        asked = [str(version) for version in range(1, len(whole) + 1)] + [event["at"] for event in whole]
        answers = [await pac.call("GET", f"{path}?as_of={one}", tenant.key) for one in asked]
        return [(answer.status, answer.headers["ETag"], answer.body) for answer in answers]

    before = await past()
    assert {status for status, _, _ in before} == {200}
    assert [etag for _, etag, _ in before][: len(whole)] == [f'"{version}"' for version in range(1, len(whole) + 1)]
    assert before[len(whole) - 1][2]["deployment"] == await deployment_of(pac, tenant, deployment)
    known = {"If-None-Match": '"1"'}
    assert (await pac.call("GET", f"{path}?as_of=1", tenant.key, headers=known)).status == 304
    where = ("--service", "deployments", "--state-dir", str(pac.state_dir))
    assert (await command("projections", "rebuild", "deployments", *where)).code == 0
    assert await past() == before


async def test_unknown_and_foreign_deployments_are_the_same_for_all_of_it(
    pac: Pac, tenant: Tenant, folder: Path
) -> None:
    other = await pac.tenant()
    foreign = await completed(pac, tenant, await pac.deploy(tenant, packed_agent(folder), "1.0.0"))
    for method, rest in (("POST", "/cancel"), ("POST", "/retry"), ("GET", "/events"), ("GET", "?as_of=1")):
        answers = [await pac.call(method, f"/api/deployments/{one}{rest}", other.key) for one in (foreign, uuid4())]
        assert [answer.status for answer in answers] == [404, 404], rest
        assert len({json.dumps({**answer.body, "request_id": ""}) for answer in answers}) == 1, rest
