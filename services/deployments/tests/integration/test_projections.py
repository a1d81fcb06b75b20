"""The read side follows the log: whatever the batches, it says what the streams' folds say."""

import random
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import delete

from pac.contracts.billing import CreditsRefused
from pac.contracts.topics import ServiceName
from pac.deployments.projections import Deployments
from pac.deployments.views import view_of
from pac.eventlog import Placed, Projector
from pac.testkit.postgres import EventLogOf

from .hub import Hub, later


@pytest.fixture
async def hub(event_log_of: EventLogOf) -> Hub:
    return Hub(await event_log_of(ServiceName.DEPLOYMENTS))


async def some_of_everything(hub: Hub) -> None:
    """Two of each: queued, processing, completed, failed, cancelled, rejected."""
    account = uuid4()
    for _ in range(2):
        hub.limits = type(hub.limits)(per_account=100, overall=100)
        completed, failed, running = (
            await hub.held(account, uuid4()),
            await hub.held(account, uuid4()),
            await hub.held(account, uuid4()),
        )
        await hub.dispatcher().dispatch()
        later(hub, seconds=90)
        await hub.completed(completed)
        await hub.rejected(failed)
        await hub.settled(failed)
        later(hub, seconds=1.5)
        cancelled, rejected = await hub.submitted(account, uuid4()), await hub.submitted(account, uuid4())
        await hub.cancelled(cancelled)
        await hub.settled(cancelled)
        await hub.says(CreditsRefused(**hub.ids(rejected), required=10, available=5))
        await hub.settled(rejected)
        await hub.submitted(account, uuid4())
        assert (await hub.state(running)).status == "processing"


async def project(hub: Hub, batches: Sequence[Sequence[Placed]]) -> dict[str, list[dict[str, object]]]:
    projection = Deployments()
    async with hub.log.engine.begin() as connection:
        for table in projection.tables:
            await connection.execute(delete(table))
    for batch in batches:
        async with hub.log.engine.begin() as connection:
            await projection.apply(connection, batch)
    return await tables(hub)


async def tables(hub: Hub) -> dict[str, list[dict[str, object]]]:
    return {
        "deployments": await hub.rows("SELECT * FROM read.deployments ORDER BY id"),
        "counts": await hub.rows("SELECT * FROM read.counts ORDER BY status"),
        "minutes": await hub.rows("SELECT * FROM read.minutes ORDER BY minute"),
    }


async def test_any_cut_into_batches_gives_the_same_tables(hub: Hub) -> None:
    await some_of_everything(hub)
    log = await hub.events()
    at_once = await project(hub, [log])
    assert at_once == await project(hub, [[each] for each in log])
    chance = random.Random(7)  # noqa: S311 - a seed that can be repeated
    for _ in range(5):
        cuts = sorted(chance.sample(range(1, len(log)), 6))
        assert at_once == await project(hub, [log[a:b] for a, b in zip([0, *cuts], [*cuts, len(log)], strict=True)])


async def test_how_long_they_took_is_the_same_sum_in_any_order(hub: Hub) -> None:
    account = uuid4()
    hub.limits = type(hub.limits)(per_account=100, overall=100)
    deployments = [await hub.held(account, uuid4()) for _ in range(3)]
    await hub.dispatcher().dispatch()
    for deployment in deployments:
        later(hub, seconds=0.1)  # 0.1, 0.2 and 0.3 s: as binary fractions their sum depends on the order
        await hub.completed(deployment)
    log = await hub.events()
    each = (await project(hub, [[one] for one in log]))["minutes"]
    last = [n for n, one in enumerate(log) if one.event.type == "DeploymentCompleted"][1]
    assert each == (await project(hub, [log[:last], log[last:]]))["minutes"]
    assert [str(row["seconds"]) for row in each] == ["0.600000"]


async def test_a_status_that_came_and_went_leaves_the_same_row_in_any_batch(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), uuid4())
    await hub.dispatcher().dispatch()
    await hub.completed(deployment)
    log = await hub.events()
    assert await project(hub, [log]) == await project(hub, [[each] for each in log])


async def test_a_rebuild_gives_what_was_there(hub: Hub) -> None:
    await some_of_everything(hub)
    projector = Projector(hub.log, Deployments(), batch_size=7)
    while await projector.step():
        pass
    before = await tables(hub)
    await projector.rebuild()
    assert await tables(hub) == before
    assert len(before["deployments"]) == len(hub.owners)


async def test_the_tables_say_what_the_folds_say(hub: Hub) -> None:
    await some_of_everything(hub)
    shown_tables = await project(hub, [await hub.events()])
    views = [view_of(await hub.state(deployment)) for deployment in hub.owners]
    shown = Counter(view.status for view in views)
    assert shown == {"queued": 2, "processing": 2, "completed": 2, "failed": 6}
    assert {row["status"]: row["deployments"] for row in shown_tables["counts"]} == shown
    rows = {row["id"]: row for row in shown_tables["deployments"]}
    for view in views:
        row = rows[view.id]
        for name in ("status", "outcome", "error", "error_code", "created_at", "started_at", "completed_at", "release"):
            assert row[name] == getattr(view, name), name
    assert sum(int(str(row["completed"])) for row in shown_tables["minutes"]) == 2
    assert sum(int(str(row["failed"])) for row in shown_tables["minutes"]) == 2, (
        "cancelled and unpaid ones are no failures"
    )
    durations = [view.duration_seconds for view in views if view.status == "completed"]
    assert durations == [90, 90]
    assert sum(float(str(row["seconds"])) for row in shown_tables["minutes"]) == timedelta(seconds=180).total_seconds()
