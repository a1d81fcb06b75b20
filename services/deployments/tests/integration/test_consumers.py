"""What the neighbours say, through the inbox into the log and the queue."""

import asyncio
from uuid import uuid4

import pytest

from pac.contracts.base import Source, Step
from pac.contracts.billing import CreditsRefused, CreditsReserved
from pac.contracts.gateway import AgentAppCreated
from pac.contracts.topics import ServiceName
from pac.eventlog import AlreadySeen, TooEarly
from pac.testkit.postgres import EventLogOf

from .hub import NOON, Hub


@pytest.fixture
async def hub(event_log_of: EventLogOf) -> Hub:
    return Hub(await event_log_of(ServiceName.DEPLOYMENTS))


async def test_a_deployment_from_submission_to_completion(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), uuid4())
    await hub.dispatcher().dispatch()
    await hub.completed(deployment)
    assert await hub.types(deployment) == [
        "DeploymentQueued",
        "DeploymentFunded",
        "DeploymentStarted",
        *["StepStarted", "StepCompleted"] * 5,
        "DeploymentCompleted",
    ]
    await hub.check_queue()


async def test_every_event_belongs_to_the_request_that_began_it(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), uuid4())
    await hub.dispatcher().dispatch()
    queued, _, started, step = await hub.log.history(f"deployment-{deployment}")
    assert started.correlation_id == step.correlation_id == queued.correlation_id
    assert started.actor == "deployments"


async def test_a_rollback_begins_at_the_runtime(hub: Hub) -> None:
    done = (Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3, Step.GENERATE_METADATA)
    deployment = await hub.held(uuid4(), uuid4(), done=done, source=Source.ROLLBACK, billable=False)
    await hub.dispatcher().dispatch()
    assert (await hub.state(deployment)).step is Step.NOTIFY_RUNTIME


async def test_credits_heard_before_the_submission_are_too_early_and_leave_nothing(hub: Hub) -> None:
    deployment = uuid4()
    hub.owners[deployment] = uuid4()
    with pytest.raises(TooEarly):
        await hub.says(CreditsReserved(**hub.ids(deployment), amount=2))
    assert await hub.events() == []
    assert await hub.log.inbox("deployments", "billing", f"hold-{deployment}") == 0


async def test_a_message_repeated_by_kafka_has_been_seen(hub: Hub) -> None:
    deployment = await hub.submitted(uuid4(), uuid4())
    reserved = await hub.says(CreditsReserved(**hub.ids(deployment), amount=2))
    with pytest.raises(AlreadySeen):
        await hub.consumers.on_billing_event(reserved)
    assert await hub.types(deployment) == ["DeploymentQueued", "DeploymentFunded"]


async def test_unpaid_is_rejected_and_ends_with_the_package(hub: Hub) -> None:
    deployment = await hub.submitted(uuid4(), uuid4())
    await hub.says(CreditsRefused(**hub.ids(deployment), required=10, available=5))
    assert (await hub.types(deployment))[-1] == "DeploymentAborted"
    await hub.settled(deployment)
    assert (await hub.types(deployment))[-1] == "DeploymentRejected"
    assert await hub.rows("SELECT * FROM state.queue") == []


async def test_a_deleted_app_ends_what_is_open_and_what_comes_later(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    running, waiting, undecided = (
        await hub.held(account, app),
        await hub.held(account, app),
        await hub.submitted(account, app),
    )
    other = await hub.held(account, uuid4())
    await hub.dispatcher().dispatch()
    await hub.app_deleted(account, app)
    for each in (running, waiting, undecided):
        state = await hub.state(each)
        assert state.aborted is not None
        assert (state.status, state.aborted.code) == ("aborting", "app_deleted")
    assert (await hub.state(other)).status == "processing"
    late = await hub.submitted(account, app)
    assert await hub.types(late) == ["DeploymentQueued", "DeploymentAborted"]
    await hub.dispatcher().dispatch()
    assert await hub.with_slot() == {other}
    await hub.check_queue()


async def test_a_deletion_interrupted_half_way_is_done_again(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    deployment = await hub.held(account, app)
    await hub.app_deleted(account, app)
    before = await hub.types(deployment)
    hub.versions[f"app-{app}"] = 0
    with pytest.raises(AlreadySeen):
        await hub.app_deleted(account, app)
    assert await hub.types(deployment) == before


async def test_queueing_and_deleting_at_once_leaves_nothing_open(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    queued = [asyncio.create_task(hub.submitted(account, app)) for _ in range(8)]
    deleted = asyncio.create_task(hub.app_deleted(account, app))
    await asyncio.gather(*queued, deleted)
    assert len(queued) == 8
    for task in queued:
        assert (await hub.state(task.result())).status == "aborting"


async def test_past_the_point_of_no_return_a_deletion_lets_it_complete(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    deployment = await hub.held(account, app)
    await hub.dispatcher().dispatch()
    for step in list(Step)[:-1]:
        await hub.answered(deployment, step)
    await hub.app_deleted(account, app)
    await hub.answered(deployment, Step.FINALIZE)
    assert (await hub.state(deployment)).status == "completed"


async def test_other_news_of_an_app_changes_nothing(hub: Hub) -> None:
    created = AgentAppCreated(account_id=uuid4(), at=NOON, agent_app_id=uuid4())
    await hub.consumers.on_gateway_event(hub.message(ServiceName.GATEWAY, f"app-{created.agent_app_id}", created))
    assert await hub.events() == []
