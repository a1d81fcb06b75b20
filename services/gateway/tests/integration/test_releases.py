"""An app's current release, as the gateway has heard it from the hub; and that what is in use is not deleted."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from aiohttp import web

from pac.contracts.deployments import DeploymentCompleted, DeploymentsEvent, DeploymentStarted
from pac.contracts.envelope import Envelope
from pac.contracts.topics import ServiceName
from pac.eventlog import Message
from pac.gateway.consumers import Consumers

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Gateway, Stage, Tenant

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


def completed(mine: "Tenant", release: int, *, current: bool = True) -> DeploymentCompleted:
    return DeploymentCompleted(
        account_id=mine.account_id,
        at=NOON,
        deployment_id=uuid4(),
        agent_app_id=UUID(mine.app_id),
        package_id=uuid4(),
        package_version=f"1.{release}.0",
        sha256="0" * 64,
        size_bytes=1,
        object_key="packages/x",
        release=release,
        no=release,
        current=current,
    )


async def hear(gateway: "Gateway", event: DeploymentCompleted | DeploymentStarted) -> None:
    stream = f"deployment-{event.deployment_id}"
    message: Message[DeploymentsEvent] = Message(
        "gateway", Envelope(uuid4(), ServiceName.DEPLOYMENTS.value, stream, 1, event, "key-test", uuid4())
    )
    await Consumers(gateway.log).on_deployments_event(message)


def shown(event: DeploymentCompleted) -> dict[str, Any]:
    return {
        "deployment_id": str(event.deployment_id),
        "package_id": str(event.package_id),
        "version": event.package_version,
    }


async def test_the_highest_release_that_is_current_is_shown(stage: "Stage") -> None:
    mine, other = await stage.gateway.account(), await stage.gateway.account()
    path = f"/api/agent-apps/{mine.app_id}"

    async def current() -> Any:
        found = (await stage.gateway.call("GET", path, mine.key)).json["agent_app"]["current_release"]
        listed = (await stage.gateway.call("GET", "/api/agent-apps", mine.key)).json["agent_apps"]
        assert [app["current_release"] for app in listed] == [found]
        return found

    assert await current() is None
    first, second, third = completed(mine, 1), completed(mine, 2), completed(mine, 3, current=False)
    await hear(stage.gateway, first)
    assert await current() == shown(first)
    await hear(stage.gateway, second)
    await hear(stage.gateway, completed(mine, 1))
    await hear(stage.gateway, third)
    started = DeploymentStarted(
        account_id=mine.account_id, at=NOON, deployment_id=uuid4(), agent_app_id=UUID(mine.app_id), release=4
    )
    await hear(stage.gateway, started)
    assert await current() == shown(second)
    renamed = await stage.gateway.call("PATCH", path, mine.key, json={"name": "renamed"})
    assert renamed.json["agent_app"]["current_release"] == shown(second)
    theirs = await stage.gateway.call("GET", f"/api/agent-apps/{other.app_id}", other.key)
    assert theirs.json["agent_app"]["current_release"] is None
    assert (await stage.gateway.call("DELETE", f"{path}?force=true", mine.key)).status == 200
    await hear(stage.gateway, completed(mine, 5))
    assert (await stage.gateway.call("GET", path, mine.key)).status == 404


async def test_the_gateway_hears_the_hub(stage: "Stage") -> None:
    assert [subscription.topic for subscription in stage.gateway.subscriptions] == ["deployments.events"]


# ---- an app that is to be deleted -----------------------------------------------------------------------------------


async def refused(stage: "Stage", mine: "Tenant") -> tuple[int, str, Any]:
    answer = await stage.gateway.call("DELETE", f"/api/agent-apps/{mine.app_id}", mine.key)
    return answer.status, answer.json["code"], answer.json.get("used_by")


async def test_an_app_in_use_is_not_deleted_by_accident(stage: "Stage") -> None:
    mine, path = await stage.gateway.account(), "/api/agent-apps/"
    used_by = [{"deployment_id": str(uuid4())}, {"deployment_id": str(uuid4()), "current_release": True}]

    async def says(_: web.Request) -> web.StreamResponse:
        return web.json_response({"used_by": used_by})

    stage.packages.handle = says
    assert await refused(stage, mine) == (409, "app_in_use", used_by)
    assert stage.packages.seen[-1].raw_path == f"/internal/apps/{mine.app_id}/use"
    caller = stage.packages.caller()
    assert (caller.account_id, caller.app and str(caller.app.id)) == (mine.account_id, mine.app_id)
    assert (await stage.gateway.call("GET", path + mine.app_id, mine.key)).status == 200
    forced = await stage.gateway.call("DELETE", f"{path}{mine.app_id}?force=true", mine.key)
    assert (forced.status, len(stage.packages.seen)) == (200, 1)
    assert (await stage.gateway.call("GET", path + mine.app_id, mine.key)).status == 404


@pytest.mark.parametrize("answer", ["nothing", "another shape", "an error"])
async def test_whether_an_app_is_in_use_is_never_guessed(stage: "Stage", answer: str) -> None:
    mine = await stage.gateway.account()

    async def says(_: web.Request) -> web.StreamResponse:
        return web.json_response({"ok": True}, status=200 if answer == "another shape" else 500)

    stage.packages.handle = says
    if answer == "nothing":
        await stage.packages.stop()
    assert await refused(stage, mine) == (503, "unavailable", None)
    path = f"/api/agent-apps/{mine.app_id}?force=true"
    assert (await stage.gateway.call("DELETE", path, mine.key)).status == 200
