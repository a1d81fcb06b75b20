"""Deadlines on a real Postgres: met once, and only while the hub itself hears and is heard."""

import asyncio
from uuid import uuid4

import pytest

from pac.contracts.base import Step
from pac.contracts.topics import ServiceName
from pac.testkit.postgres import DatabaseOf, EventLogOf

from .hub import Hub, later


@pytest.fixture
async def hub(event_log_of: EventLogOf) -> Hub:
    return Hub(await event_log_of(ServiceName.DEPLOYMENTS))


async def test_a_silent_worker_costs_three_attempts_and_then_the_deployment(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), uuid4())
    await hub.dispatcher().dispatch()
    for _ in range(5):
        assert await hub.sweeper.sweep() == 0, "nothing is due before its time"
        later(hub, seconds=301)
        assert await hub.sweeper.sweep() == 1
    state = await hub.state(deployment)
    assert state.aborted is not None
    assert state.aborted.error == "Step validate_package was not finished within 300 s (attempt 3 of 3)"
    assert (await hub.types(deployment))[3:] == [*["StepStarted", "StepFailed"] * 3, "DeploymentAborted"]
    await hub.check_queue()


async def test_an_attempt_that_answers_in_time_is_not_failed_by_the_clock(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), uuid4())
    await hub.dispatcher().dispatch()
    later(hub, seconds=299)
    await hub.answered(deployment, Step.VALIDATE_PACKAGE)
    later(hub, seconds=2)
    assert await hub.sweeper.sweep() == 0


async def test_a_day_without_a_slot_ends_it(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), uuid4())
    later(hub, hours=24)
    assert await hub.sweeper.sweep() == 1
    assert (await hub.types(deployment))[-1] == "DeploymentAborted"


async def test_waiting_for_billing_is_never_due(hub: Hub) -> None:
    await hub.submitted(uuid4(), uuid4())
    later(hub, days=30)
    assert await hub.sweeper.sweep() == 0


async def test_settlement_and_capture_are_asked_for_again(hub: Hub) -> None:
    aborting, finalizing = await hub.held(uuid4(), uuid4()), await hub.held(uuid4(), uuid4())
    await hub.dispatcher().dispatch()
    await hub.cancelled(aborting)
    for step in list(Step)[:-1]:
        await hub.answered(finalizing, step)
    for _ in range(4):
        later(hub, hours=1)
        assert await hub.sweeper.sweep() == 2
    assert (await hub.types(aborting)).count("DeploymentAborted") == 5
    assert (await hub.state(finalizing)).attempt == 5
    await hub.settled(aborting)
    await hub.answered(finalizing, Step.FINALIZE)
    later(hub, hours=1)
    assert await hub.sweeper.sweep() == 0
    assert (await hub.state(aborting)).status == "cancelled"
    assert (await hub.state(finalizing)).status == "completed"
    await hub.check_queue()


async def test_two_sweepers_at_once_meet_a_deadline_once(event_log_of: EventLogOf, database_of: DatabaseOf) -> None:
    database = await database_of("pac.deployments")
    one = Hub(await event_log_of(ServiceName.DEPLOYMENTS, database=database))
    deployments = [await one.held(uuid4(), uuid4()) for _ in range(10)]
    await one.dispatcher().dispatch()
    later(one, seconds=300)
    other = Hub(await event_log_of(ServiceName.DEPLOYMENTS, database=database), now=one.now)
    await asyncio.gather(one.sweeper.sweep(), other.sweeper.sweep())
    for deployment in deployments:
        assert (await one.types(deployment)).count("StepFailed") == 1


async def test_while_its_news_lies_unheard_the_hub_fails_nobody(hub: Hub) -> None:
    # The relay has never run here, so what was appended a moment ago is a backlog, still a short one.
    await hub.held(uuid4(), uuid4())
    assert await hub.sweeper.waits_for() is None
    hub.hearing.yes = False
    assert await hub.sweeper.waits_for() == "consumers"


async def test_while_its_orders_lie_unsent_the_hub_fails_nobody(hub: Hub) -> None:
    assert await hub.sweeper.waits_for() is None, "an empty log has no backlog"
    await hub.held(uuid4(), uuid4())
    strict = type(hub.sweeper)(hub.log, hub.decider, hub.queue, hub.hearing, hub.clock, backlog_limit_seconds=0.0)
    assert await strict.waits_for() == "relay"
