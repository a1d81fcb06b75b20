"""Cancel by the table of states, and lists with their filters, pages and places in the queue."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pac.contracts.base import Step
from pac.contracts.topics import ServiceName
from pac.testkit.postgres import EventLogOf

from .hub import Hub, later
from .served import Json, Served, project, serving


@pytest.fixture
async def hub(event_log_of: EventLogOf) -> Hub:
    return Hub(await event_log_of(ServiceName.DEPLOYMENTS))


def ids(body: Json) -> list[UUID]:
    return [UUID(each["id"]) for each in body["deployments"]]


# ---- cancel --------------------------------------------------------------------------------------------------------


async def test_before_the_point_of_no_return_it_ends_as_cancelled(hub: Hub) -> None:
    account = uuid4()
    undecided, held, processing = [await hub.submitted(account, uuid4()) for _ in range(3)]
    for each in (held, processing):
        await hub.reserved(each)
    hub.limits = type(hub.limits)(per_account=1)
    await hub.dispatcher().dispatch()
    states = {each: (await hub.state(each)).status for each in (undecided, held, processing)}
    assert sorted(states.values()) == ["held", "processing", "undecided"]
    async with serving(hub) as served:
        for each in states:
            status, body, headers = await served.post(f"/api/deployments/{each}/cancel", account)
            assert status == 202
            assert body["deployment"]["status"] == "processing", "its end is not settled yet"
            assert "outcome" not in body["deployment"]
            again, _, same = await served.post(f"/api/deployments/{each}/cancel", account)
            assert (again, same["ETag"]) == (202, headers["ETag"]), "already going"
            await hub.settled(each)
            _, body, _ = await served.get(f"/api/deployments/{each}", account)
            assert (body["deployment"]["status"], body["deployment"]["outcome"]) == ("failed", "cancelled")
    await hub.check_queue()


async def test_past_it_and_after_the_end_it_is_refused(hub: Hub) -> None:
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    await hub.dispatcher().dispatch()
    for step in list(Step)[:-1]:
        await hub.answered(deployment, step)
    async with serving(hub) as served:
        path = f"/api/deployments/{deployment}/cancel"
        status, body, _ = await served.post(path, account)
        assert (status, body["code"]) == (409, "too_late")
        await hub.answered(deployment, Step.FINALIZE)
        status, body, _ = await served.post(path, account)
        assert (status, body["code"]) == (409, "already_finished")


async def test_a_cancel_that_is_sent_again_with_its_key_is_the_same_cancel(hub: Hub) -> None:
    """Also when its process was killed after the commit, and the deployment has ended meanwhile."""
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    key = {"headers": {"Idempotency-Key": "k"}}
    async with serving(hub) as served:
        path = f"/api/deployments/{deployment}/cancel"
        first = await served.post(path, account, **key)
        assert first[0] == 202
        await hub.settled(deployment)
        _, body, headers = await served.post(path, account, **key)
        assert (body, headers["Idempotent-Replayed"]) == (first[1], "true")
        async with hub.log.engine.begin() as connection:
            await connection.execute(text("UPDATE state.claims SET answer = NULL, leased_until = '-infinity'"))
        status, body, _ = await served.post(path, account, **key)
        assert (status, body["deployment"]["outcome"]) == (202, "cancelled")
        assert (await served.post(path, account))[0] == 409


async def test_only_its_own_account_can_cancel_and_only_without_fields(hub: Hub) -> None:
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    async with serving(hub) as served:
        answers = [await served.post(f"/api/deployments/{each}/cancel", uuid4()) for each in (deployment, uuid4())]
        assert [status for status, _, _ in answers] == [404, 404]
        assert {body["error"] for _, body, _ in answers} == {"Deployment not found"}
        status, body, _ = await served.post(f"/api/deployments/{deployment}/cancel", account, json={"force": True})
        assert (status, body["details"]) == (400, ["force: Unknown field"])
        assert (await served.post(f"/api/deployments/{deployment}/cancel", account, json={}))[0] == 202


# ---- lists ---------------------------------------------------------------------------------------------------------


async def mixed(hub: Hub, account: UUID, app: UUID) -> dict[str, UUID]:
    """One of each status, each of another second; the completed and the queued one are the app's."""
    found = {}
    for name in ("completed", "failed", "processing", "queued"):
        later(hub, seconds=1)
        found[name] = await hub.held(account, app if name in ("completed", "queued") else uuid4())
        if name == "queued":
            break
        await hub.dispatcher().dispatch()
        if name == "completed":
            await hub.completed(found[name])
        if name == "failed":
            await hub.rejected(found[name])
            await hub.settled(found[name])
    return found


async def test_newest_first_and_each_in_the_shape_of_one(hub: Hub) -> None:
    account = uuid4()
    found = await mixed(hub, account, uuid4())
    await hub.held(uuid4(), uuid4())
    await project(hub)
    async with serving(hub) as served:
        status, body, _ = await served.get("/api/deployments", account)
        assert (status, body["next_cursor"]) == (200, None)
        assert ids(body) == list(reversed(found.values()))
        for each in body["deployments"]:
            _, one, _ = await served.get(f"/api/deployments/{each['id']}", account)
            assert one["deployment"] == each
        assert body["deployments"][0]["queue"]["reason"] == "waiting_for_slot"
        assert body["deployments"][0]["queue"]["position"] == 1


async def test_filters(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    found = await mixed(hub, account, app)
    await project(hub)
    async with serving(hub) as served:
        for status, deployment in found.items():
            assert ids((await served.get(f"/api/deployments?status={status}", account))[1]) == [deployment]
        _, body, _ = await served.get(f"/api/deployments?app={app}", account)
        assert ids(body) == [found["queued"], found["completed"]]
        _, body, _ = await served.get(f"/api/deployments?app={app}&status=completed", account)
        assert ids(body) == [found["completed"]]
        for stranger in (f"?app={uuid4()}", f"?app={app}"):
            _, body, _ = await served.get(f"/api/deployments{stranger}", uuid4())
            assert body == {"deployments": [], "next_cursor": None}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("app=x", "app"),
        ("status=cancelled", "status"),
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("cursor=x", "cursor"),
    ],
)
async def test_a_filter_that_is_not_understood_is_named(hub: Hub, query: str, field: str) -> None:
    async with serving(hub) as served:
        status, body, _ = await served.get(f"/api/deployments?{query}", uuid4())
    assert (status, body["code"]) == (400, "invalid_request")
    assert body["details"][0].startswith(f"{field}: ")


async def pages(served: Served, account: UUID, query: str) -> list[list[UUID]]:
    found, cursor = [], ""
    while True:
        _, body, _ = await served.get(f"/api/deployments?{query}{cursor}", account)
        found.append(ids(body))
        if body["next_cursor"] is None:
            return found
        cursor = f"&cursor={body['next_cursor']}"


async def test_pages_have_no_gap_and_no_double_even_of_the_same_moment(hub: Hub) -> None:
    """Half of them the projection knows, the others only the queue."""
    account = uuid4()
    for number in range(7):
        await hub.submitted(account, uuid4())
        if number == 3:
            await project(hub)
    async with serving(hub) as served:
        found = await pages(served, account, "limit=3")
        assert [len(page) for page in found] == [3, 3, 1]
        everything = [each for page in found for each in page]
        assert len(set(everything)) == 7
        assert everything == ids((await served.get("/api/deployments", account))[1])
        assert [len(page) for page in await pages(served, account, "limit=7")] == [7]


async def test_an_accepted_one_is_listed_at_once_and_every_place_is_right(hub: Hub) -> None:
    account = uuid4()
    waiting = [await hub.held(account, uuid4(), at=hub.now) for _ in range(3)]
    async with serving(hub) as served:
        _, body, _ = await served.get("/api/deployments?status=queued", account)
        assert set(ids(body)) == set(waiting)
        for each in body["deployments"]:
            _, one, _ = await served.get(f"/api/deployments/{each['id']}", account)
            assert one["deployment"]["queue"] == each["queue"]
        assert sorted(each["queue"]["position"] for each in body["deployments"]) == [1, 2, 3]
