"""An app's current release: what the gateway has heard from the hub."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

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
    assert (await stage.gateway.call("DELETE", path, mine.key)).status == 200
    await hear(stage.gateway, completed(mine, 5))
    assert (await stage.gateway.call("GET", path, mine.key)).status == 404


async def test_the_gateway_hears_the_hub(stage: "Stage") -> None:
    assert [subscription.topic for subscription in stage.gateway.subscriptions] == ["deployments.events"]
