"""Webhooks of a whole PAC, as a user has them: registered over the API, verified by the library, whatever happens."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from pac.testkit.agents import packed_agent
from pac.testkit.eventually import eventually
from pac.testkit.pac_up import PATIENCE_SECONDS, Pac, Tenant
from pac.testkit.receiver import Received, Receiver, receiving

BROKEN = "raise RuntimeError('it does not start')\n"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Down at first for every notice."""

    def behave(received: Received) -> int:
        return 503 if received.earlier == 0 else 204

    async with receiving(behave=behave) as ready:
        yield ready


async def registered(pac: Pac, tenant: Tenant, receiver: Receiver, **wish: Any) -> str:
    path = f"/api/agent-apps/{tenant.app_id}/webhooks"
    made = await pac.call("POST", path, tenant.key, json={"url": receiver.url, **wish})
    assert made.status == 201, made
    receiver.secrets.append(made.body["webhook"]["secret"])
    return f"{path}/{made.body['webhook']['id']}"


async def test_deployments_are_told_to_an_endpoint_that_is_down_at_first(
    pac: Pac, tenant: Tenant, folder: Path, receiver: Receiver
) -> None:
    before = await pac.deploy(tenant, packed_agent(folder), "1.0.0")
    tracking = before.body["tracking"]["webhook_url"]
    assert tracking.endswith(f"/api/agent-apps/{tenant.app_id}/webhooks")
    first = str(before.body["deployment"]["id"])
    assert (await pac.ended(first, tenant.key))["status"] == "completed"
    one = await registered(pac, tenant, receiver, **{"from": first})

    later = await pac.deploy(tenant, packed_agent(folder, version="1.0.1"), "1.0.1")
    second = str(later.body["deployment"]["id"])
    ends = ["deployment.queued", "deployment.started", "deployment.completed"]
    await eventually(
        lambda: [receiver.types_of(one) for one in (first, second)] == [ends, ends], seconds=PATIENCE_SECONDS
    )
    assert receiver.rejected == []
    assert len({received.id for received in receiver.seen}) == 6
    assert {received.data["agent_app_id"] for received in receiver.seen} == {tenant.app_id}

    async def delivered() -> bool:
        shown = await pac.call("GET", f"{one}/attempts?limit=100", tenant.key)
        assert shown.status == 200, shown
        return [attempt["delivered"] for attempt in shown.body["attempts"]].count(True) == 6

    await eventually(delivered, seconds=PATIENCE_SECONDS)
    rotated = await pac.call("POST", f"{one}/rotate", tenant.key)
    receiver.secrets = [rotated.body["webhook"]["secret"]]
    again = await pac.call("POST", f"{one}/redeliver", tenant.key, json={})
    assert (again.status, again.body) == (202, {"messages": 1})
    count = len(receiver.taken)
    await eventually(lambda: bool(len(receiver.taken) > count or receiver.rejected), seconds=PATIENCE_SECONDS)
    assert receiver.rejected == []
    assert receiver.taken[-1].signatures == 2
    assert len({received.id for received in receiver.seen}) == 6
    assert (await pac.call("DELETE", one, tenant.key)).status == 200
    assert (await pac.call("GET", one, tenant.key)).status == 404


async def test_a_failed_deployment_is_told_with_its_error_and_strangers_see_nothing(
    pac: Pac, tenant: Tenant, folder: Path, receiver: Receiver
) -> None:
    one = await registered(pac, tenant, receiver, events=["deployment.failed"])
    accepted = await pac.deploy(tenant, packed_agent(folder, main=BROKEN), "1.0.0")
    ended = await pac.ended(accepted.body["deployment"]["id"], tenant.key)
    await eventually(lambda: len(receiver.taken) == 1, seconds=PATIENCE_SECONDS)
    [told] = receiver.taken
    assert (told.type, told.data["error"]) == ("deployment.failed", ended["error"])
    stranger = await pac.tenant()
    for method, path in (("GET", one), ("DELETE", one), ("POST", f"{one}/rotate"), ("GET", f"{one}/attempts")):
        assert (await pac.call(method, path, stranger.key)).status == 404
    refused = await pac.call(
        "POST", one.rpartition("/")[0], tenant.key, json={"url": "https://169.254.169.254/latest/meta-data"}
    )
    assert (refused.status, refused.body["details"]) == (400, ["url: Leads to an address that is not public"])
