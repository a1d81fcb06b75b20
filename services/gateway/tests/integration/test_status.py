"""A poll of a deployment's status: every combination of what deployments, packages and this gateway know."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg
import pytest
from aiohttp import web
from psycopg.sql import SQL, Identifier

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Stage

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def shows(status: str, **more: Any) -> Handler:
    async def show(request: web.Request) -> web.StreamResponse:
        deployment = {"id": request.match_info["path"].rpartition("/")[2], "status": status, **more}
        return web.json_response({"deployment": deployment}, headers={"ETag": '"3"'})

    return show


def answers(status: int) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "Deployment not found"}, status=status, reason="Deployment not found")

    return answer


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return web.Response()


async def drop(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


SILENT = {"hangs": hang, "drops": drop, "503": answers(503), "500": answers(500), "429": answers(429)}


@asynccontextmanager
async def quick(stage: "Stage", **settings: Any) -> AsyncIterator["Stage"]:
    """The same stage with a gateway that loses patience soon."""
    wanted = {"status_timeout_seconds": 0.2, "status_patience_seconds": 1.5, **settings}
    async with stage.another(**wanted) as gateway:
        yield replace(stage, gateway=gateway)


async def test_what_deployments_says_is_passed_on(stage: "Stage") -> None:
    mine, deployment = await stage.gateway.account(), str(uuid4())
    stage.deployments.handle = shows("processing")
    answer = await stage.gateway.call("GET", f"/api/deployments/{deployment}?x=1", mine.key)
    assert (answer.status, answer.json["deployment"]["status"]) == (200, "processing")
    assert answer.headers["ETag"] == '"3"'
    assert "Age" not in answer.headers
    assert stage.deployments.seen[-1].raw_path == f"/api/deployments/{deployment}?x=1"
    assert stage.deployments.caller().account_id == mine.account_id
    assert not stage.packages.seen


async def test_a_body_of_a_poll_goes_nowhere(stage: "Stage") -> None:
    mine, path = await stage.gateway.account(), f"/api/deployments/{uuid4()}"
    stage.deployments.handle = shows("queued")
    for _ in range(3):  # a length without a body would make the service take the next question for it
        assert (await stage.gateway.call("GET", path, mine.key, data=b"x" * 500)).status == 200
    sent = stage.deployments.seen[-1].headers
    assert not {"Content-Length", "Transfer-Encoding", "Content-Type", "Accept-Encoding"} & set(sent)


@pytest.mark.parametrize("hub", [answers(404), *SILENT.values()], ids=["404", *SILENT])
async def test_what_the_hub_does_not_say_packages_knows(stage: "Stage", hub: Handler) -> None:
    mine, deployment = await stage.gateway.account(), str(uuid4())
    stage.deployments.handle, stage.packages.handle = hub, shows("queued")
    async with quick(stage) as hurried:
        answer = await hurried.gateway.call("GET", f"/api/deployments/{deployment}", mine.key)
    assert (answer.status, answer.json["deployment"]) == (200, {"id": deployment, "status": "queued"})
    assert stage.packages.seen[-1].raw_path == f"/internal/submissions/{deployment}"
    assert stage.packages.caller().account_id == mine.account_id


async def test_the_hub_that_refuses_connections_is_away_as_well(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    await stage.deployments.stop()
    stage.packages.handle = shows("queued")
    answer = await stage.gateway.call("GET", f"/api/deployments/{uuid4()}", mine.key)
    assert (answer.status, answer.json["deployment"]["status"]) == (200, "queued")


async def test_what_nobody_knows_is_a_404_with_its_sentence(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    stage.deployments.handle = stage.packages.handle = answers(404)
    for deployment in (uuid4(), "x", "%2e%2e"):
        answer = await stage.gateway.call("GET", f"/api/deployments/{deployment}", mine.key)
        assert (answer.status, answer.reason) == (404, "Deployment not found")
        assert answer.json["error"] == "Deployment not found"


@pytest.mark.parametrize(("hub", "packages"), [*((way, way) for way in SILENT.values()), (drop, answers(404))])
async def test_while_both_are_silent_the_last_answer_is_given_to_its_own_account_only(
    stage: "Stage", hub: Handler, packages: Handler
) -> None:
    mine, theirs, deployment = await stage.gateway.account(), await stage.gateway.account(), str(uuid4())
    path = f"/api/deployments/{deployment}"
    async with quick(stage, status_patience_seconds=0.0) as hurried:
        stage.deployments.handle = shows("processing", version="1.2.0")
        first = await hurried.gateway.call("GET", path, mine.key)
        stage.deployments.handle, stage.packages.handle = hub, packages
        again = await hurried.gateway.call("GET", path, mine.key, headers={"X-Request-Id": "another-request"})
        foreign = await hurried.gateway.call("GET", path, theirs.key)
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["Age"] == "0"
    assert again.headers["X-Request-Id"] == "another-request"
    assert foreign.status == 503


@pytest.mark.parametrize(
    ("before", "early", "shown"),
    [
        ("queued", "queued", "queued"),
        ("processing", "queued", "processing"),
        ("completed", "queued", "completed"),
        ("queued", "failed", "failed"),
        ("processing", "failed", "failed"),
    ],
)
async def test_an_answer_never_goes_back_behind_one_given_before(
    stage: "Stage", before: str, early: str, shown: str
) -> None:
    mine, path = await stage.gateway.account(), f"/api/deployments/{uuid4()}"
    stage.deployments.handle, stage.packages.handle = shows(before), shows(early)
    await stage.gateway.call("GET", path, mine.key)
    stage.deployments.handle = drop
    answer = await stage.gateway.call("GET", path, mine.key)
    assert answer.json["deployment"]["status"] == shown


async def test_with_nothing_held_the_gateway_waits_until_somebody_answers(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    stage.deployments.handle = stage.packages.handle = drop
    asked = asyncio.create_task(stage.gateway.call("GET", f"/api/deployments/{uuid4()}", mine.key))

    async def asked_twice() -> bool:
        return len(stage.packages.seen) >= 2

    await stage.until(asked_twice)
    assert not asked.done()
    stage.deployments.handle = shows("completed")
    assert (await asked).json["deployment"]["status"] == "completed"


async def test_a_404_of_packages_alone_is_no_answer(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    stage.deployments.handle, stage.packages.handle = drop, answers(404)
    async with quick(stage, status_patience_seconds=0.0) as hurried:
        answer = await hurried.gateway.call("GET", f"/api/deployments/{uuid4()}", mine.key)
    assert answer.status == 503


async def test_when_patience_is_over_it_is_a_503_with_a_time_to_repeat(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    stage.deployments.handle = stage.packages.handle = drop
    began = time.monotonic()
    async with quick(stage) as hurried:
        answer = await hurried.gateway.call("GET", f"/api/deployments/{uuid4()}", mine.key)
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert 0.9 < time.monotonic() - began < 4


async def test_a_question_about_the_past_is_for_deployments_alone(stage: "Stage") -> None:
    mine, path = await stage.gateway.account(), f"/api/deployments/{uuid4()}"
    async with quick(stage, status_patience_seconds=0.0) as hurried:
        stage.deployments.handle, stage.packages.handle = answers(404), shows("queued")
        assert (await hurried.gateway.call("GET", f"{path}?as_of=1", mine.key)).status == 404
        stage.deployments.handle = shows("queued")
        assert (await hurried.gateway.call("GET", f"{path}?as_of=1", mine.key)).status == 200
        assert not stage.packages.seen
        stage.deployments.handle = stage.packages.handle = drop
        assert (await hurried.gateway.call("GET", path, mine.key)).status == 503  # the past is not held as the present


@asynccontextmanager
async def postgres_away(stage: "Stage") -> AsyncIterator[None]:
    """The gateway's database refuses and drops connections, as a server that restarts does."""
    server = stage.database.superuser_url.rpartition("/")[0] + "/postgres"
    name = stage.database.name
    async with await psycopg.AsyncConnection.connect(server, autocommit=True) as operator:
        allow = SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        await operator.execute(allow.format(Identifier(name), SQL("false")))
        try:
            await operator.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))
            yield
        finally:
            await operator.execute(allow.format(Identifier(name), SQL("true")))


async def test_polls_go_on_while_the_gateways_postgres_is_away_and_writes_wait(stage: "Stage") -> None:
    async with stage.another(key_ttl_seconds=0.05) as gateway:
        mine = await gateway.account()
        stage.deployments.handle, path = shows("processing"), f"/api/deployments/{uuid4()}"
        await gateway.call("GET", path, mine.key)
        async with postgres_away(stage):
            for _ in range(3):
                await asyncio.sleep(0.06)  # past the time to live: the key is read again, in vain
                assert (await gateway.call("GET", path, mine.key)).status == 200
            refused = await gateway.call("POST", "/api/agent-apps", mine.key, json={"name": "x"})
            assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
            listed = await gateway.call("GET", f"/api/agent-apps/{mine.app_id}/packages", mine.key)
            assert listed.status == 503  # whose app it is cannot be told
        assert (await gateway.call("POST", "/api/agent-apps", mine.key, json={"name": "x"})).status == 201


async def test_a_poll_with_a_key_not_seen_before_waits_for_postgres(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    stage.deployments.handle = shows("processing")
    async with stage.another() as fresh:
        async with postgres_away(stage):
            asked = asyncio.create_task(fresh.call("GET", f"/api/deployments/{uuid4()}", mine.key))
            await asyncio.sleep(0.7)  # longer than one try
            assert not asked.done()
        assert (await asked).status == 200
