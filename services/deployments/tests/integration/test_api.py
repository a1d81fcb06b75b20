"""One deployment and the figures of the queue, on a real log."""

from uuid import uuid4

import pytest

from pac.contracts.base import Step
from pac.contracts.topics import ServiceName
from pac.deployments.api import StatsCache
from pac.deployments.projections import Deployments
from pac.deployments.queries import Queries, Thresholds
from pac.eventlog import Projector
from pac.testkit.postgres import EventLogOf

from .hub import Hub, later
from .served import project, serving


@pytest.fixture
async def hub(event_log_of: EventLogOf) -> Hub:
    return Hub(await event_log_of(ServiceName.DEPLOYMENTS))


async def test_a_deployment_is_answered_with_the_version_of_its_stream(hub: Hub) -> None:
    account = uuid4()
    deployment = await hub.held(account, uuid4())
    await hub.dispatcher().dispatch()
    async with serving(hub) as served:
        status, body, headers = await served.get(f"/api/deployments/{deployment}", account)
        assert status == 200
        assert headers["ETag"] == '"4"'
        assert body["deployment"]["id"] == str(deployment)
        assert body["deployment"]["progress"]["current_step"] == "validate_package"
        assert "queue" not in body["deployment"]
        await hub.answered(deployment, Step.VALIDATE_PACKAGE)
        _, body, headers = await served.get(f"/api/deployments/{deployment}", account)
        assert headers["ETag"] == '"6"', "never stale"
        assert body["deployment"]["progress"]["current_step"] == "upload_to_s3"


async def test_unknown_and_foreign_are_the_same_answer(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), uuid4())
    async with serving(hub) as served:
        answers = [await served.get(f"/api/deployments/{each}", uuid4()) for each in (deployment, uuid4(), "not-an-id")]
        for status, body, _ in answers:
            assert (status, body["code"]) == (404, "not_found")
        for _, body, _ in answers[:2]:
            assert body["error"] == "Deployment not found"
        assert answers[0][1].keys() == answers[1][1].keys()


async def test_without_an_identity_it_is_refused(hub: Hub) -> None:
    async with serving(hub) as served:
        status, body, _ = await served.get(f"/api/deployments/{uuid4()}")
        assert (status, body["error"]) == (401, "Invalid API key or session")


async def test_the_place_in_the_queue_counts_the_accounts_own(hub: Hub) -> None:
    account = uuid4()
    await hub.submitted(uuid4(), uuid4())
    first, second = await hub.submitted(account, uuid4()), await hub.held(account, uuid4(), at=hub.now)
    async with serving(hub) as served:
        places = {}
        for each in (first, second):
            _, body, _ = await served.get(f"/api/deployments/{each}", account)
            places[each] = body["deployment"]["queue"]
    assert {place["position"] for place in places.values()} == {1, 2}
    assert places[first]["reason"] == "waiting_for_billing"
    assert places[second]["reason"] == "waiting_for_slot"
    assert places[first]["eta_p50_seconds"] is None


async def test_from_five_completed_on_there_is_an_estimate(hub: Hub) -> None:
    account = uuid4()
    for seconds in (10, 20, 30, 40, 50):
        deployment = await hub.held(account, uuid4())
        await hub.dispatcher().dispatch()
        later(hub, seconds=seconds)
        await hub.completed(deployment)
    app = uuid4()
    await hub.held(account, app)
    await hub.dispatcher().dispatch()
    waiting = await hub.held(account, app)
    await project(hub)
    async with serving(hub) as served:
        _, body, _ = await served.get(f"/api/deployments/{waiting}", account)
        assert body["deployment"]["queue"] == {
            "position": 1,
            "reason": "waiting_for_slot",
            "eta_p50_seconds": 60,  # its app is busy: two rounds
            "eta_p90_seconds": 92,
        }
        _, stats, _ = await served.get("/api/deployments/queue/stats")
        assert stats["stats"] == {"queued": 1, "processing": 1, "completed": 5, "failed": 0, "total": 7}
        assert stats["metrics"]["avgProcessingTimeSeconds"] == 30
        assert stats["metrics"]["estimatedDurationSeconds"] == 30


async def test_the_figures_are_public_and_empty_at_first(hub: Hub) -> None:
    async with serving(hub) as served:
        status, body, _ = await served.get("/api/deployments/queue/stats")
    assert status == 200
    assert body == {
        "stats": {"queued": 0, "processing": 0, "completed": 0, "failed": 0, "total": 0},
        "health": {"status": "healthy", "message": "Queue is operating normally"},
        "metrics": {
            "avgProcessingTimeSeconds": 0,
            "lastUpdated": "2024-01-01T12:00:00Z",
            "estimatedDurationSeconds": 120,
        },
    }


async def test_the_figures_are_kept_for_a_second(hub: Hub) -> None:
    async with serving(hub, seconds=3600) as kept, serving(hub) as fresh:
        await kept.get("/api/deployments/queue/stats")
        await hub.submitted(uuid4(), uuid4())
        await project(hub)
        assert (await kept.get("/api/deployments/queue/stats"))[1]["stats"]["queued"] == 0
        assert (await fresh.get("/api/deployments/queue/stats"))[1]["stats"]["queued"] == 1


async def test_a_step_past_its_deadline_is_critical(hub: Hub) -> None:
    await hub.held(uuid4(), uuid4())
    await hub.dispatcher().dispatch()
    await project(hub)
    async with serving(hub) as served:
        later(hub, seconds=305)
        _, body, _ = await served.get("/api/deployments/queue/stats")
        assert body["health"]["status"] == "healthy", "the sweeper may need a moment"
        later(hub, seconds=10)
        _, body, _ = await served.get("/api/deployments/queue/stats")
        assert body["health"]["status"] == "critical"


async def test_a_capture_asked_for_too_often_is_critical(hub: Hub) -> None:
    deployment = await hub.held(uuid4(), uuid4())
    await hub.dispatcher().dispatch()
    for step in list(Step)[:-1]:
        await hub.answered(deployment, step)
    for _ in range(3):
        later(hub, minutes=10)
        await hub.sweeper.sweep()
    async with serving(hub) as served:
        _, body, _ = await served.get("/api/deployments/queue/stats")
        assert body["health"] == {
            "status": "critical",
            "message": "1 deployment is stuck in processing past the deadline",
        }


async def test_a_projection_far_behind_is_critical(hub: Hub) -> None:
    await hub.submitted(uuid4(), uuid4())
    queries = Queries(hub.log, Thresholds(behind_seconds=0.0), 4, Deployments().name)
    reply = await StatsCache(queries, hub.clock).get()
    assert reply.health.status == "critical"
    assert "behind" in reply.health.message
    projector = Projector(hub.log, Deployments())
    while await projector.step():
        pass
    reply = await StatsCache(queries, hub.clock).get()
    assert reply.health.status == "healthy"
    assert reply.stats.queued == 1
