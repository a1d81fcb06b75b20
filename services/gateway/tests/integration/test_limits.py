"""What is too much, over HTTP: who is told so, in which fields, and who is not held up."""

import asyncio
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from pac.gateway.limits import network_of

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Stage

APPS = "/api/agent-apps"


async def test_one_key_is_limited_and_no_other(stage: "Stage") -> None:
    async with stage.another(caller_requests_per_second=0.1, caller_requests_burst=3) as gateway:
        mine = await gateway.account()  # one request with its key
        other = await gateway.key(mine.account_id)
        answers = [await gateway.call("GET", APPS, mine.key) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert [answer.headers["RateLimit"] for answer in answers[:2]] == ['"caller";r=1;t=20', '"caller";r=0;t=30']
        assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"caller";q=3;w=30'}
        throttled = answers[2]
        assert (throttled.json["code"], throttled.reason) == ("throttled", "Too many requests")
        assert 1 <= int(throttled.headers["Retry-After"]) <= 10
        assert throttled.headers["RateLimit"].startswith('"caller";r=0;t=')
        assert (await gateway.call("GET", APPS, other["key"])).status == 200


async def test_what_is_forwarded_tells_what_is_left_as_well(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    answer = await stage.gateway.call("GET", "/api/credits", mine.key)
    assert answer.headers["RateLimit-Policy"] == '"caller";q=1000;w=2'


async def test_a_poll_waits_its_turn_and_is_no_error(stage: "Stage") -> None:
    async with stage.another(caller_requests_per_second=20, caller_requests_burst=2) as gateway:
        mine = await gateway.account()
        path = f"/api/deployments/{mine.account_id}"
        polls = await asyncio.gather(*(gateway.call("GET", path, mine.key) for _ in range(12)))
        assert {answer.status for answer in polls} == {200}


async def test_refusals_of_an_address_are_limited_and_hold_up_nobody_with_a_key(stage: "Stage") -> None:
    async with stage.another(refused_requests_per_second=0.1, refused_requests_burst=2, trusted_proxies=1) as gateway:
        mine = await gateway.account()
        guesses = [await gateway.call("GET", APPS, f"guess-{number}") for number in range(3)]
        assert [answer.status for answer in guesses] == [401, 401, 429]
        assert guesses[2].headers["RateLimit-Policy"] == '"refused";q=2;w=20'
        assert (await gateway.call("GET", APPS, mine.key)).status == 200
        elsewhere = {"X-Forwarded-For": "203.0.113.9, 198.51.100.7"}
        assert (await gateway.call("GET", APPS, "guess", headers=elsewhere)).status == 401


async def test_what_a_client_says_of_its_address_counts_only_behind_a_proxy(stage: "Stage") -> None:
    async with stage.another(refused_requests_per_second=0.1, refused_requests_burst=1) as gateway:
        statuses = [
            (await gateway.call("GET", APPS, headers={"X-Forwarded-For": f"203.0.113.{number}"})).status
            for number in range(2)
        ]
        assert statuses == [401, 429]


async def test_so_many_uploads_of_an_account_may_be_on_their_way(stage: "Stage") -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        await request.read()
        if len(stage.packages.seen) == 2:
            begun.set()
        await end.wait()
        return web.json_response({"ok": True})

    async with stage.another(uploads_per_account=2) as gateway:
        mine, theirs = await gateway.account(), await gateway.account()
        stage.packages.handle = slow
        path = f"{APPS}/{mine.app_id}/packages/deploy"
        first = [asyncio.create_task(gateway.call("POST", path, mine.key, data=b"x")) for _ in range(2)]
        await begun.wait()
        third = await gateway.call("POST", path, mine.key, data=b"x")
        assert (third.status, third.json["code"], third.headers["Retry-After"]) == (429, "throttled", "1")
        assert third.json["error"] == "Too many uploads at once: 2 of this account are on their way"
        end.set()
        assert [answer.status for answer in await asyncio.gather(*first)] == [200, 200]
        for tenant in (mine, theirs):
            answer = await gateway.call("POST", f"{APPS}/{tenant.app_id}/packages", tenant.key, data=b"x")
            assert answer.status == 200


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
        ("", ""),
    ],
)
def test_an_address_stands_for_whoever_has_it(address: str, network: str) -> None:
    assert network_of(address) == network
