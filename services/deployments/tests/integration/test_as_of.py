"""The past does not change: whatever was answered once is answered again, byte for byte."""

import asyncio
import json
import random
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete

from pac.contracts.base import Step
from pac.contracts.topics import ServiceName
from pac.deployments.projections import Deployments
from pac.testkit.eventually import eventually
from pac.testkit.postgres import EventLogOf

from .hub import Hub, later
from .served import Json, Served, project, serving


@pytest.fixture
async def hub(event_log_of: EventLogOf) -> Hub:
    """With the time of day: what is recorded late has a say in what counts when."""
    return Hub(await event_log_of(ServiceName.DEPLOYMENTS), now=datetime.now(UTC) - timedelta(hours=1))


async def asked(served: Served, deployment: UUID, account: UUID, as_of: object) -> tuple[int, Json, str | None]:
    path = f"/api/deployments/{deployment}?as_of={quote(str(as_of))}"
    status, body, headers = await served.get(path, account)
    return status, body, headers.get("ETag")


async def test_every_version_is_what_was_answered_then_and_after_a_rebuild(hub: Hub) -> None:
    account = uuid4()
    deployment = await hub.submitted(account, uuid4())
    path, answered = f"/api/deployments/{deployment}", {}
    async with serving(hub) as served:

        async def record() -> None:
            _, body, headers = await served.get(path, account)
            body["deployment"].pop("queue", None)
            answered[int(headers["ETag"].strip('"'))] = body

        await record()
        await hub.reserved(deployment)
        await record()
        await hub.dispatcher().dispatch()
        await record()
        for step in Step:
            later(hub, seconds=1)
            await hub.answered(deployment, step)
            await record()
        await project(hub)
        head = max(answered)
        first = {version: await asked(served, deployment, account, version) for version in range(1, head + 1)}
        for version, body in answered.items():
            assert first[version] == (200, body, f'"{version}"')
        async with hub.log.engine.begin() as connection:
            for table in Deployments().tables:
                await connection.execute(delete(table))
        await project(hub)
        assert first == {version: await asked(served, deployment, account, version) for version in first}


async def test_who_has_the_version_gets_304(hub: Hub) -> None:
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    async with serving(hub) as served:
        path = f"/api/deployments/{deployment}?as_of=1"
        for tag in ('"1"', 'W/"1"', '"7", "1"', "*"):
            status, body, headers = await served.get(path, account, **{"If-None-Match": tag})
            assert (status, body, headers["ETag"]) == (304, {}, '"1"')
        assert (await served.get(path, account, **{"If-None-Match": '"2"'}))[0] == 200
        now = await served.get(f"/api/deployments/{deployment}", account, **{"If-None-Match": '"2"'})
        assert now[0] == 200, "its place in the queue may have moved without an event of its own"
        await hub.dispatcher().dispatch()
        now = await served.get(f"/api/deployments/{deployment}", account, **{"If-None-Match": '"4"'})
        assert now[0] == 304


async def test_at_the_time_of_each_event_it_has_happened(hub: Hub) -> None:
    account, app = uuid4(), uuid4()
    deployment = await hub.held(account, app)
    await hub.dispatcher().dispatch()
    await hub.completed(deployment)
    async with serving(hub) as served:
        _, body, _ = await served.get(f"/api/deployments/{deployment}/events", account)
        first, last = body["events"][0], body["events"][-1]
        created = datetime.fromisoformat(first["at"])
        assert (await asked(served, deployment, account, first["at"]))[2] == '"1"', "the submission's time"
        before = await asked(served, deployment, account, created - timedelta(microseconds=1))
        assert (before[0], before[1]["code"]) == (404, "not_found")
        now = await asked(served, deployment, account, datetime.now(UTC))
        assert now[2] == f'"{last["version"]}"'
        assert now[1]["deployment"]["status"] == "completed"


async def test_the_last_moments_are_waited_for_until_they_cannot_change(hub: Hub) -> None:
    """An open deployment, asked for this very moment while it goes on: the answer stays what it was."""
    account = uuid4()
    hub.now = datetime.now(UTC)
    deployment = await hub.held(account, uuid4())
    async with serving(hub) as served:
        moment = datetime.now(UTC)
        asking = asyncio.create_task(asked(served, deployment, account, moment))
        await asyncio.sleep(0.2)
        hub.now = datetime.now(UTC)
        await hub.dispatcher().dispatch()
        found = await asyncio.wait_for(asking, 10)
        assert found[2] == '"2"'
        assert "queue" not in found[1]["deployment"]
        assert await asked(served, deployment, account, moment) == found


@pytest.mark.parametrize(
    "as_of",
    ["0", "-1", "x", "1.5", "", "2024-01-01", "2024-01-01T00:00:00", "2024-13-01T00:00:00Z", "2999-01-01T00:00:00Z"],
)
async def test_what_is_no_version_and_no_time_is_named(hub: Hub, as_of: str) -> None:
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    async with serving(hub) as served:
        status, body, _ = await asked(served, deployment, account, as_of)
    assert (status, body["details"][0].partition(":")[0]) == (400, "as_of")


async def test_what_was_not_yet_there_is_not_there(hub: Hub) -> None:
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    async with serving(hub) as served:
        assert (await asked(served, deployment, account, 3))[0] == 404
        assert (await asked(served, deployment, uuid4(), 1))[1]["error"] == "Deployment not found"
        assert (await asked(served, deployment, account, "2024-01-01T00:00:00+01:00"))[0] == 404


async def lived(hub: Hub, account: UUID, chance: random.Random, deployments: list[UUID]) -> None:
    """A deployment from its submission to one of its ends, among others."""
    deployments.append(deployment := await hub.submitted(account, uuid4(), at=datetime.now(UTC)))
    end = chance.choice(("completed", "completed", "rejected", "cancelled"))
    if end == "cancelled":
        await hub.cancelled(deployment)
        await hub.settled(deployment)
        return
    await hub.reserved(deployment)
    while (await hub.state(deployment)).status == "held":
        await hub.dispatcher().dispatch()
    for step in Step:
        if end == "rejected" and step is Step.UPLOAD_TO_S3:
            await hub.rejected(deployment)
            await hub.settled(deployment)
            return
        await hub.answered(deployment, step)


async def recorded(served: Served, account: UUID, deployment: UUID, chance: random.Random) -> dict[str, object]:
    """Now, and at once as of the version and as of the moment that this was."""
    path = f"/api/deployments/{deployment}"
    status, body, headers = await served.get(path, account)
    assert status == 200
    body["deployment"].pop("queue", None)
    version, moment = headers["ETag"].strip('"'), datetime.now(UTC) - timedelta(seconds=chance.random())
    answers = {one: await served.raw(one, account) for one in (f"{path}?as_of={version}", as_of_time(path, moment))}
    found = answers[f"{path}?as_of={version}"]
    assert (found[0], json.loads(found[1])) == (200, body)
    return {one: answer for one, answer in answers.items() if answer[0] == 200}  # the past before it may be heard late


def as_of_time(path: str, moment: datetime) -> str:
    return f"{path}?as_of={quote(moment.isoformat())}"


@pytest.mark.parametrize(
    "number", [40, pytest.param(2000, marks=(pytest.mark.long, pytest.mark.timeout(1800)))], ids=["some", "thousands"]
)
async def test_what_was_answered_under_load_is_answered_again_when_all_is_rebuilt(hub: Hub, number: int) -> None:
    hub.limits = type(hub.limits)(per_account=1000, overall=1000)
    account, seed = uuid4(), random.randrange(2**32)  # noqa: S311 - how the deployments end
    chance, deployments, answers = random.Random(seed), list[UUID](), dict[str, object]()  # noqa: S311
    async with serving(hub) as served:

        async def live() -> None:
            while len(answers) < number:
                hub.now = datetime.now(UTC)
                await asyncio.gather(*(lived(hub, account, chance, deployments) for _ in range(3)))

        async def record() -> None:
            while len(answers) < number:
                await eventually(lambda: bool(deployments))
                answers.update(await recorded(served, account, chance.choice(deployments[-10:]), chance))

        async with asyncio.TaskGroup() as all_of_it:
            for work in (live, live, *[record] * 8):
                all_of_it.create_task(work())
        for _ in range(2):
            async with hub.log.engine.begin() as connection:
                for table in Deployments().tables:
                    await connection.execute(delete(table))
            await project(hub)
            for path, answer in answers.items():
                assert await served.raw(path, account) == answer, f"seed {seed}: {path}"
