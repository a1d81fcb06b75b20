"""Who starts next, on a real Postgres, with dispatchers racing."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import Step
from pac.contracts.billing import CreditsReserved
from pac.contracts.deployments import DeploymentEvent
from pac.contracts.topics import ServiceName
from pac.deployments import slots
from pac.deployments.domain import Command, Deployment
from pac.deployments.slots import Limits
from pac.eventlog import Decider
from pac.testkit.postgres import DatabaseOf, EventLogOf

from .hub import Hub, later, race


@pytest.fixture
async def hub(event_log_of: EventLogOf) -> Hub:
    return Hub(await event_log_of(ServiceName.DEPLOYMENTS))


async def test_a_held_deployment_gets_a_slot_and_its_first_step(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), uuid4())
    await hub.dispatcher().dispatch()
    assert await hub.types(deployment) == [
        "DeploymentQueued",
        "DeploymentFunded",
        "DeploymentStarted",
        "StepStarted",
    ]
    state = await hub.state(deployment)
    assert (state.release, state.step, state.attempt) == (1, Step.VALIDATE_PACKAGE, 1)
    await hub.check_queue()


async def test_one_slot_per_app_with_dispatchers_racing(event_log_of: EventLogOf, database_of: DatabaseOf) -> None:
    database = await database_of("pac.deployments")
    logs = [await event_log_of(ServiceName.DEPLOYMENTS, database=database) for _ in range(3)]
    hub = Hub(logs[0], Limits(per_account=3, overall=5))
    accounts = [uuid4() for _ in range(3)]
    apps = {account: [uuid4() for _ in range(4)] for account in accounts}
    waiting = [await hub.held(account, app) for account in accounts for app in apps[account] for _ in range(2)]
    dispatchers = [hub.dispatcher(log) for log in logs]
    left = Counter(hub.apps[each] for each in waiting)
    while left.total():
        await race(*dispatchers)
        running = await hub.with_slot()
        could = [min(3, sum(left[app] > 0 for app in apps[account])) for account in accounts]
        assert len(running) == min(5, sum(could))
        assert max(Counter(hub.apps[each] for each in running).values()) == 1
        assert max(Counter(hub.owners[each] for each in running).values()) <= 3
        done = min(running)
        await hub.completed(done)
        left[hub.apps[done]] -= 1
    for each in waiting:
        assert (await hub.types(each)).count("DeploymentStarted") == 1
    releases = Counter([(hub.apps[each], (await hub.state(each)).release) for each in waiting])
    assert set(releases.values()) == {1}
    assert {release for _, release in releases} == {1, 2}
    await hub.check_queue()


async def test_the_database_itself_refuses_a_second_slot_for_an_app(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    for _ in range(2):
        await hub.held(account, app)
    with pytest.raises(Exception, match="queue_one_slot_per_app"):
        async with hub.log.engine.begin() as connection:
            await connection.execute(text("UPDATE state.queue SET status = 'processing'"))


async def test_an_account_with_a_hundred_queued_delays_another_by_one_slot_at_most(hub: Hub) -> None:
    hub.limits = Limits(per_account=2, overall=2)
    greedy, modest = uuid4(), uuid4()
    for _ in range(100):
        await hub.held(greedy, uuid4())
        later(hub, seconds=1)
    await hub.dispatcher().dispatch()
    theirs = await hub.held(modest, uuid4())
    assert theirs not in await hub.with_slot()
    await hub.completed(min(await hub.with_slot()))
    await hub.dispatcher().dispatch()
    assert theirs in await hub.with_slot()


async def test_accounts_take_turns(hub: Hub) -> None:
    hub.limits = Limits(per_account=1, overall=1)
    accounts = [uuid4() for _ in range(3)]
    for account in accounts:
        for _ in range(3):
            await hub.held(account, uuid4())
            later(hub, seconds=1)
    turns = []
    for _ in range(9):
        await hub.dispatcher().dispatch()
        (running,) = await hub.with_slot()
        turns.append(hub.owners[running])
        await hub.completed(running)
        later(hub, seconds=1)
    assert turns == accounts * 3


async def test_the_lowest_submission_of_an_app_starts_first(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    second = await hub.held(account, app, no=2)
    first = await hub.held(account, app, no=1)
    await hub.dispatcher().dispatch()
    assert await hub.with_slot() == {first}
    await hub.completed(first)
    await hub.dispatcher().dispatch()
    assert await hub.with_slot() == {second}


async def test_an_overtaken_deployment_ends_instead_of_starting(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    newer = await hub.held(account, app, no=2)
    await hub.dispatcher().dispatch()
    await hub.completed(newer)
    older = await hub.held(account, app, no=1)
    await hub.dispatcher().dispatch()
    state = await hub.state(older)
    assert state.status == "aborting"
    assert state.aborted is not None
    assert state.aborted.code == "overtaken"
    assert await hub.with_slot() == set()


async def test_without_the_rule_overtaken_an_older_submission_replaces_a_newer(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "OVERTAKEN", text(str(slots.OVERTAKEN).replace("q.no < a.current_no", "false")))
    monkeypatch.setattr(
        slots, "CHOOSE", text(str(slots.CHOOSE).replace("q.no >= coalesce(a.current_no, q.no)", "true"))
    )
    with pytest.raises(AssertionError):
        await test_an_overtaken_deployment_ends_instead_of_starting(hub)


async def test_the_slot_is_free_at_the_abort_and_wakes_the_next(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    first, second = await hub.held(account, app), await hub.held(account, app)
    running = asyncio.create_task(hub.dispatcher().run())
    try:
        await _until(hub, first)
        await hub.cancelled(first)
        assert (await hub.state(first)).status == "aborting"
        await _until(hub, second)
    finally:
        running.cancel()
    assert await hub.with_slot() == {second}


async def test_a_slot_kept_until_the_end_would_hold_up_the_app(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant of slot_at_abort: with billing silent the next one never starts."""
    keeping = str(slots.CHOOSE).replace("('processing', 'finalizing')", "('processing', 'finalizing', 'aborting')")
    monkeypatch.setattr(slots, "CHOOSE", text(keeping))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.5):
            await test_the_slot_is_free_at_the_abort_and_wakes_the_next(hub)


async def test_the_slot_is_free_at_completion(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), app := uuid4())
    await hub.dispatcher().dispatch()
    await hub.completed(deployment)
    assert await hub.rows("SELECT * FROM state.queue") == []
    (row,) = await hub.rows("SELECT * FROM state.apps")
    assert (row["agent_app_id"], row["current_deployment_id"], row["current_release"]) == (app, deployment, 1)


async def _until(hub: Hub, deployment: object) -> None:
    async def probe(connection: AsyncConnection) -> bool | None:
        found = await connection.execute(
            text("SELECT 1 FROM state.queue WHERE deployment_id = :id AND status = 'processing'"), {"id": deployment}
        )
        return found.first() is not None or None

    assert await hub.log.wait_for(probe, timeout_seconds=10)


def breaking(hub: Hub, broken: UUID) -> Decider[Deployment, Command, DeploymentEvent]:
    """The hub's rules, with one deployment that nothing can be decided about."""

    def decide(now: Deployment, command: Command) -> Sequence[DeploymentEvent]:
        if command.deployment_id == broken:
            raise ValueError("a fault of ours")
        return hub.decider.decide(now, command)

    return replace(hub.decider, decide=decide)


async def test_one_that_cannot_be_decided_about_holds_up_nobody(hub: Hub) -> None:
    """Neither as an overtaken one nor as the first candidate."""
    account, app = uuid4(), uuid4()
    overtaken = await hub.submitted(account, app, no=1)
    newer = await hub.held(account, app, no=2)
    await hub.dispatcher().dispatch()
    await hub.completed(newer)
    await hub.says(CreditsReserved(**hub.ids(overtaken), amount=2))
    waiting = await hub.held(account, uuid4())
    await replace(hub.dispatcher(), decider=breaking(hub, overtaken)).dispatch()
    assert (await hub.state(waiting)).status == "processing"
    first, second = await hub.held(account, uuid4()), await hub.held(account, uuid4())
    await replace(hub.dispatcher(), decider=breaking(hub, first)).dispatch()
    assert (await hub.state(first)).status == "held"
    assert (await hub.state(second)).status == "processing"
    assert (await hub.state(overtaken)).status == "aborting"
