"""A deployment's own log as pages and as a stream that is cut, resumed, bounded and ended."""

import asyncio
import random
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from pac.contracts.topics import ServiceName
from pac.deployments.domain import Policy
from pac.testkit.eventually import eventually
from pac.testkit.postgres import EventLogOf

from .hub import Hub, later
from .served import Json, Said, Served, said, serving

CUTS = 50


@pytest.fixture
async def hub(event_log_of: EventLogOf) -> Hub:
    return Hub(await event_log_of(ServiceName.DEPLOYMENTS))


async def ended(hub: Hub, account: UUID) -> UUID:
    deployment = await hub.held(account, uuid4())
    await hub.dispatcher().dispatch()
    await hub.completed(deployment)
    return deployment


async def everything(served: Served, deployment: UUID, account: UUID, limit: int = 500) -> list[Json]:
    found: list[Json] = []
    cursor = ""
    while True:
        _, body, _ = await served.get(f"/api/deployments/{deployment}/events?limit={limit}{cursor}", account)
        found += body["events"]
        if body["next_cursor"] is None:
            return found
        cursor = f"&cursor={body['next_cursor']}"


async def followed(served: Served, deployment: UUID, account: UUID, last: str | None = None) -> list[Said]:
    async with served.stream(deployment, account, last) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        return [each async for each in said(response)]


async def test_a_page_has_every_event_from_1_as_it_stands_in_the_log(hub: Hub) -> None:
    account = uuid4()
    deployment = await ended(hub, account)
    recorded = await hub.log.history(f"deployment-{deployment}")
    async with serving(hub) as served:
        events = await everything(served, deployment, account)
        assert [each["version"] for each in events] == list(range(1, len(recorded) + 1))
        assert [each["type"] for each in events] == await hub.types(deployment)
        for shown, one in zip(events, recorded, strict=True):
            assert shown["data"] == one.event.model_dump(mode="json")
            assert shown["at"] == shown["data"]["at"]
            assert shown["causation_id"] == (str(one.causation_id) if one.causation_id else None)
        assert await everything(served, deployment, account, limit=2) == events, "whatever the page"
        _, body, _ = await served.get(f"/api/deployments/{deployment}/events?after=3", account)
        assert body["events"] == events[3:]


async def test_unknown_and_foreign_are_the_same_answer_in_both_forms(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), uuid4())
    async with serving(hub) as served:
        for form in ("application/json", "text/event-stream"):
            for each in (deployment, uuid4()):
                status, body, _ = await served.get(f"/api/deployments/{each}/events", uuid4(), Accept=form)
                assert (status, body["error"]) == (404, "Deployment not found")


@pytest.mark.parametrize("query", ["after=x", "after=-1", "after=99", "cursor=x", "limit=0", "limit=501"])
async def test_what_is_not_understood_is_named(hub: Hub, query: str) -> None:
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    async with serving(hub) as served:
        status, body, _ = await served.get(f"/api/deployments/{deployment}/events?{query}", account)
    assert (status, body["details"][0].partition(":")[0]) == (400, query.partition("=")[0])


async def test_the_stream_is_the_page_and_ends_with_the_deployment(hub: Hub) -> None:
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    async with serving(hub) as served:
        reading = asyncio.create_task(followed(served, deployment, account))
        await hub.dispatcher().dispatch()
        await hub.completed(deployment)
        told = await asyncio.wait_for(reading, 20)
        events = await everything(served, deployment, account)
        assert [each.data for each in told] == events
        assert [(each.id, each.type) for each in told] == [(str(each["version"]), each["type"]) for each in events]
        assert told[-1].type == "DeploymentCompleted"
        assert [each.id for each in await followed(served, deployment, account, "3")] == [each.id for each in told[3:]]
        async with served.stream(deployment, account, query="?after=3") as response:
            assert [each.id async for each in said(response)] == [each.id for each in told[3:]]
        async with served.stream(deployment, account, last=told[-1].id) as response:
            assert (response.status, await response.read()) == (204, b""), "a browser does not come back"


async def test_a_stream_that_is_cut_fifty_times_has_no_gap_and_no_double(hub: Hub) -> None:
    """Cut after up to three events, or somewhere in the middle of the first, while the deployment goes on."""
    hub.policy = Policy(attempts=3 * CUTS, backoff=timedelta())
    account, seed = uuid4(), random.randrange(2**32)  # noqa: S311 - where to cut
    chance = random.Random(seed)  # noqa: S311
    deployment = await hub.held(account, uuid4())
    await hub.dispatcher().dispatch()

    async def goes_on() -> None:
        while (await hub.state(deployment)).attempt < 2 * CUTS:
            later(hub, minutes=20)
            await hub.sweeper.sweep()
        await hub.cancelled(deployment)
        await hub.settled(deployment)

    async with serving(hub) as served:
        going = asyncio.create_task(goes_on())
        told: list[Said] = []
        cuts, over = 0, False
        while not over:
            cuts += 1
            async with served.stream(deployment, account, told[-1].id if told else None) as response:
                if (wanted := chance.randrange(4)) == 3:
                    await response.content.read(chance.randrange(1, 400))  # nothing of it is a whole event
                    response.close()
                    continue
                async for each in said(response):
                    told.append(each)
                    over = each.type == "DeploymentCancelled"
                    if len(told) % 3 == wanted or over:
                        break
                response.close()
        await going
        assert cuts > CUTS, f"only {cuts} cuts, seed {seed}"
        assert [each.data for each in told] == await everything(served, deployment, account), f"seed {seed}"


async def test_a_stream_without_news_says_that_it_is_there(hub: Hub) -> None:
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    async with serving(hub, heartbeat_seconds=0.1) as served, served.stream(deployment, account, "2") as response:
        lines = [await asyncio.wait_for(response.content.readline(), 10) for _ in range(5)]
    assert lines == [b"retry: 1000\n", b"\n", b": still here\n", b"\n", b": still here\n"]


async def test_there_is_a_bound_for_each_account_and_a_place_is_given_back(hub: Hub) -> None:
    account, other = uuid4(), uuid4()
    mine, theirs = await hub.held(account, uuid4()), await hub.held(other, uuid4())
    async with serving(hub, per_account=2) as served:
        async with served.stream(mine, account) as first, served.stream(mine, account) as second:
            assert (first.status, second.status) == (200, 200)
            async with served.stream(mine, account) as third, served.stream(theirs, other) as another:
                assert (third.status, another.status) == (429, 200)
                assert third.headers["Retry-After"] == "5"
                another.close()
            first.close()
            second.close()
        await eventually(lambda: not served.followers.open)
        async with served.stream(mine, account) as again:
            assert again.status == 200
            again.close()


async def test_at_shutdown_a_stream_ends_between_two_events(hub: Hub) -> None:
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    async with serving(hub) as served:
        reading = asyncio.create_task(followed(served, deployment, account))
        await eventually(lambda: served.followers.open == 1)
        served.stopping.set()
        told = await asyncio.wait_for(reading, 5)
    assert [each.type for each in told] == await hub.types(deployment)
