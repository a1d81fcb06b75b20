"""Rollback pins, release unpins, stop stops: what an app is set to, and what becomes of its deployments then."""

from uuid import UUID, uuid4

import pytest

from pac.contracts.base import Source, Step
from pac.contracts.deployments import DeploymentCompleted
from pac.contracts.topics import ServiceName
from pac.testkit.postgres import EventLogOf

from .hub import Hub
from .served import serving

DONE = (Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3, Step.GENERATE_METADATA)


@pytest.fixture
async def hub(event_log_of: EventLogOf) -> Hub:
    return Hub(await event_log_of(ServiceName.DEPLOYMENTS))


async def deployed(hub: Hub, account: UUID, app: UUID, source: Source = Source.UPLOAD) -> UUID:
    rollback = source is Source.ROLLBACK
    deployment = await hub.held(account, app, source=source, done=DONE if rollback else (), billable=not rollback)
    await hub.dispatcher().dispatch()
    await hub.completed(deployment)
    return deployment


async def end_of(hub: Hub, deployment: UUID) -> DeploymentCompleted:
    last = (await hub.log.history(f"deployment-{deployment}"))[-1].event
    assert isinstance(last, DeploymentCompleted)
    return last


async def types_of(hub: Hub, app: UUID) -> list[str]:
    return [each.event.type for each in await hub.log.history(f"appstate-{app}")]


async def current_of(hub: Hub, app: UUID) -> UUID | None:
    rows = await hub.rows("SELECT agent_app_id, current_deployment_id FROM state.apps")
    return {row["agent_app_id"]: row["current_deployment_id"] for row in rows}.get(app)


async def test_after_a_rollback_nothing_becomes_current_until_the_release(hub: Hub) -> None:
    account, app, other = uuid4(), uuid4(), uuid4()
    await deployed(hub, account, app)
    back = await deployed(hub, account, app, Source.ROLLBACK)
    assert await types_of(hub, app) == ["AppPinned"]
    pinned = await deployed(hub, account, app)
    assert (await end_of(hub, pinned)).current is False
    assert Step.NOTIFY_RUNTIME not in (await hub.state(pinned)).steps
    assert await current_of(hub, app) == back
    async with serving(hub) as served:
        _, body, _ = await served.get(f"/api/deployments/{pinned}", account)
        steps = {step["name"]: step for step in body["deployment"]["progress"]["steps"]}
        assert (steps["notify_runtime"]["skipped"], body["deployment"]["pinned"]) == (True, True)
        for _ in range(2):
            status, body, _ = await served.post(f"/api/agent-apps/{app}/release", account, app=app)
            assert (status, body["agent_app"]["pinned"]) == (200, False)
    assert await types_of(hub, app) == ["AppPinned", "AppReleased"]
    newest = await deployed(hub, account, app)
    assert await current_of(hub, app) == newest
    assert (await end_of(hub, await deployed(hub, account, other))).current, "another app was never pinned"
    await hub.check_queue()


async def test_a_rollback_told_twice_pins_once(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    await deployed(hub, account, app)
    back = await deployed(hub, account, app, Source.ROLLBACK)
    await hub.answered(back, Step.FINALIZE, 2)
    assert await types_of(hub, app) == ["AppPinned"]


async def test_one_that_fails_pins_nothing(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    first = await deployed(hub, account, app)
    back = await hub.held(account, app, source=Source.ROLLBACK, done=DONE, billable=False)
    await hub.dispatcher().dispatch()
    await hub.cancelled(back)
    await hub.settled(back)
    assert (await types_of(hub, app), await current_of(hub, app)) == ([], first)


async def test_a_stop_is_said_once_for_a_release(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    async with serving(hub) as served:

        async def stop() -> tuple[bool, bool]:
            status, body, _ = await served.post(f"/api/agent-apps/{app}/stop", account, app=app)
            assert status == 200, body
            return body["agent_app"]["stopped"], body["agent_app"]["current_deployment_id"] is not None

        assert await stop() == (False, False), "nothing has ever run"
        await deployed(hub, account, app)
        assert [await stop(), await stop()] == [(True, True)] * 2
        assert await types_of(hub, app) == ["AppStopped"]
        await deployed(hub, account, app)
        _, body, _ = await served.post(f"/api/agent-apps/{app}/release", account, app=app)
        assert body["agent_app"]["stopped"] is False, "a later deployment has started it again"
        status, body, _ = await served.post(f"/api/agent-apps/{app}/stop", account)
        assert (status, body["error"]) == (404, "Agent app not found"), "the gateway has not vouched for it"
