"""A service of which several processes run: who is asked, and what a client notices when one of them goes."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from aiohttp import web

from pac.contracts.topics import ServiceName

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Gateway, Stage, Upstream

CREDITS = "/api/credits"


async def drop(request: web.Request) -> web.StreamResponse:
    """As a process that is killed: the connection ends without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def drop_after_the_body(request: web.Request) -> web.StreamResponse:
    await request.read()
    return await drop(request)


@asynccontextmanager
async def two(stage: "Stage", name: ServiceName) -> AsyncIterator[tuple["Gateway", "Upstream", "Upstream"]]:
    """A gateway that knows two processes of a service."""
    made = type(stage.packages)
    one, other = made(name), made(name)
    await one.start()
    await other.start()
    setting = f"{name.module}_url"
    try:
        async with stage.another(**{setting: f"{one.url}, {other.url}/"}) as gateway:
            yield gateway, one, other
    finally:
        await one.stop()
        await other.stop()


async def test_requests_go_to_both_in_turn_each_with_its_own_identity(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    async with two(stage, ServiceName.BILLING) as (gateway, one, other):
        for _ in range(10):
            assert (await gateway.call("GET", CREDITS, mine.key)).status == 200
        assert (len(one.seen), len(other.seen)) == (5, 5)
        assert {one.caller().account_id, other.caller().account_id} == {mine.account_id}


async def test_one_that_is_gone_is_noticed_by_nobody_and_asked_again_when_it_is_back(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    upload = f"/api/agent-apps/{mine.app_id}/packages"
    async with two(stage, ServiceName.PACKAGES) as (gateway, one, other):

        async def ask() -> None:
            read, written = await asyncio.gather(
                gateway.call("GET", upload, mine.key), gateway.call("POST", upload, mine.key, data=bytes(100_000))
            )
            assert (read.status, written.status) == (200, 200)

        await ask()
        await one.stop()
        before = len(other.seen)
        for _ in range(10):
            await ask()
        assert len(other.seen) == before + 20
        await one.start()

        async def back() -> bool:
            before = len(one.seen)
            await ask()
            return len(one.seen) > before

        await stage.until(back)


async def test_a_question_without_an_answer_goes_to_the_other(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    async with two(stage, ServiceName.BILLING) as (gateway, one, other):
        one.handle = drop
        statuses = Counter([(await gateway.call("GET", CREDITS, mine.key)).status for _ in range(10)])
        assert statuses == {200: 10}
        assert len(other.seen) == 10


async def test_what_was_sent_in_part_is_sent_to_nobody_else(stage: "Stage") -> None:
    """It may have happened: only the client can know whether to repeat it."""
    mine = await stage.gateway.account()
    upload = f"/api/agent-apps/{mine.app_id}/packages"
    async with two(stage, ServiceName.PACKAGES) as (gateway, one, other):
        one.handle = other.handle = drop_after_the_body
        answer = await gateway.call("POST", upload, mine.key, data=b"body")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert len(one.seen) + len(other.seen) == 1


async def test_a_body_of_which_nothing_was_sent_goes_to_the_other(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    upload = f"/api/agent-apps/{mine.app_id}/packages"

    async def size(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return web.json_response({"size": len(await request.read())})

    async with two(stage, ServiceName.PACKAGES) as (gateway, one, other):
        one.handle, other.handle = drop, size
        answer = await gateway.call("POST", upload, mine.key, data=b"body", expect100=True)
        assert (answer.status, answer.json) == (200, {"size": 4})
        assert (len(one.seen), len(other.seen)) == (1, 1)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_it_is_away_only_when_none_is_left(stage: "Stage", method: str) -> None:
    mine = await stage.gateway.account()
    upload = f"/api/agent-apps/{mine.app_id}/packages"
    async with two(stage, ServiceName.PACKAGES) as (gateway, one, other):
        await one.stop()
        await other.stop()
        body: dict[str, Any] = {"data": b"body"} if method == "POST" else {}
        answer = await gateway.call(method, upload, mine.key, **body)
        assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        await other.start()
        assert (await gateway.call(method, upload, mine.key, **body)).status == 200


async def test_a_poll_is_answered_by_the_one_that_is_left(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    path = "/api/deployments/00000000-0000-0000-0000-000000000001"
    async with two(stage, ServiceName.DEPLOYMENTS) as (gateway, one, other):
        await one.stop()
        for _ in range(4):
            assert (await gateway.call("GET", path, mine.key)).status == 200
        assert len(other.seen) == 4
