"""What passes through the gateway, in both directions, and what does not."""

import asyncio
import gc
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Self
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from pac.contracts.identity import Scope
from pac.servicekit.identity import NotIdentified

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from services.gateway.tests.integration.conftest import Gateway, Stage, Tenant, Upstream

MIB = 1_048_576
CHUNK = bytes(range(256)) * 256


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def chunks(total: int) -> AsyncIterator[bytes]:
    for _ in range(total // len(CHUNK)):
        yield CHUNK


async def lets_body_come(request: web.Request) -> None:
    if request.headers.get("Expect"):
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


class Peak:
    """The most memory this process (client, gateway and service in one) has taken since the start."""

    async def __aenter__(self) -> Self:
        gc.collect()
        self.before = self.peak = rss_bytes()
        self._task = asyncio.create_task(self._watch())
        return self

    async def _watch(self) -> None:
        while True:
            self.peak = max(self.peak, rss_bytes())
            await asyncio.sleep(0.005)

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    @property
    def growth(self) -> int:
        return self.peak - self.before


async def test_a_large_upload_passes_unchanged_in_flat_memory(stage: "Stage") -> None:
    mine, total = await stage.gateway.account(), 100 * MIB

    async def digest(request: web.Request) -> web.StreamResponse:
        found = hashlib.sha256()
        async for chunk in request.content.iter_any():
            found.update(chunk)
        return web.json_response({"sha256": found.hexdigest()}, status=202)

    stage.packages.handle = digest
    expected = hashlib.sha256()
    async for chunk in chunks(total):
        expected.update(chunk)
    path = f"/api/agent-apps/{mine.app_id}/packages/deploy"
    for headers in ({"Content-Length": str(total)}, {}):  # the second: chunked
        async with Peak() as peak:
            answer = await stage.gateway.call("POST", path, mine.key, data=chunks(total), headers=headers)
        assert (answer.status, answer.json) == (202, {"sha256": expected.hexdigest()})
        assert stage.packages.seen[-1].headers.get("Content-Length") == headers.get("Content-Length")
        assert peak.growth < 16 * MIB


async def test_a_large_answer_passes_unchanged_in_flat_memory(stage: "Stage") -> None:
    mine, total = await stage.gateway.account(), 100 * MIB

    async def send(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(total)})
        await response.prepare(request)
        async for chunk in chunks(total):
            await response.write(chunk)
        return response

    stage.packages.handle = send
    url = f"{stage.gateway.url}/api/agent-apps/{mine.app_id}/packages"
    received = 0
    async with Peak() as peak, stage.gateway.http.get(url, headers={"Authorization": f"Bearer {mine.key}"}) as answer:
        assert answer.headers["Content-Length"] == str(total)
        async for chunk in answer.content.iter_any():
            received += len(chunk)
    assert received == total
    assert peak.growth < 16 * MIB


async def test_a_service_that_does_not_read_slows_the_client_down(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    go_on, sent = asyncio.Event(), 0

    async def wait_then_read(request: web.Request) -> web.StreamResponse:
        await go_on.wait()
        return web.json_response({"size": sum([len(chunk) async for chunk in request.content.iter_any()])})

    async def counted() -> AsyncIterator[bytes]:
        nonlocal sent
        async for chunk in chunks(64 * MIB):
            sent += len(chunk)
            yield chunk

    stage.packages.handle = wait_then_read
    path = f"/api/agent-apps/{mine.app_id}/packages"
    upload = asyncio.create_task(stage.gateway.call("POST", path, mine.key, data=counted()))
    before = -1

    async def stands_still() -> bool:
        nonlocal before
        await asyncio.sleep(0.2)
        still, before = sent == before and sent > 0, sent
        return still

    await stage.until(stands_still)
    assert sent < 32 * MIB  # the buffers of four sockets, and no more
    go_on.set()
    assert (await upload).json == {"size": 64 * MIB}


@pytest.mark.parametrize(("status", "reason"), [(402, "Insufficient credits"), (413, "Package too large: 120 MB")])
async def test_an_early_refusal_reaches_a_client_that_still_uploads(stage: "Stage", status: int, reason: str) -> None:
    mine = await stage.gateway.account()

    async def refuse(request: web.Request) -> web.StreamResponse:
        await request.content.readany()
        return web.json_response({"error": reason}, status=status, reason=reason)

    stage.packages.handle = refuse
    path = f"/api/agent-apps/{mine.app_id}/packages/deploy"
    answer = await stage.gateway.call(
        "POST", path, mine.key, data=chunks(32 * MIB), headers={"Content-Length": str(32 * MIB)}
    )
    assert (answer.status, answer.reason, answer.json) == (status, reason, {"error": reason})


async def raw_request(
    gateway: "Gateway", mine: "Tenant", head: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(f"{head}\r\nHost: pac\r\nAuthorization: Bearer {mine.key}\r\n\r\n".encode())
    await writer.drain()
    return reader, writer


async def test_a_refusal_also_reaches_a_client_that_sends_all_before_it_reads(stage: "Stage") -> None:
    mine = await stage.gateway.account()

    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({"error": "Insufficient credits"}, status=402, reason="Insufficient credits")

    stage.packages.handle = refuse
    size = 24 * MIB
    reader, writer = await raw_request(
        stage.gateway,
        mine,
        f"POST /api/agent-apps/{mine.app_id}/packages/deploy HTTP/1.1\r\nContent-Length: {size}",
    )
    async for chunk in chunks(size):
        writer.write(chunk)
        await writer.drain()
    assert await reader.readline() == b"HTTP/1.1 402 Insufficient credits\r\n"
    writer.close()


@pytest.mark.parametrize("after_the_body", [False, True])
async def test_a_client_that_leaves_is_noticed_by_the_service(stage: "Stage", *, after_the_body: bool) -> None:
    mine = await stage.gateway.account()
    began, left = asyncio.Event(), asyncio.Event()

    async def watch(request: web.Request) -> web.StreamResponse:
        began.set()
        try:
            await request.read()
        except (OSError, aiohttp.ClientError, web.RequestPayloadError):
            left.set()
            raise
        transport = request.transport
        while transport is not None and not transport.is_closing():  # noqa: ASYNC110 - a socket has no event
            await asyncio.sleep(0.02)
        left.set()
        return web.Response()

    stage.packages.handle = watch
    size = 1024 if after_the_body else 10 * MIB
    _, writer = await raw_request(
        stage.gateway,
        mine,
        f"POST /api/agent-apps/{mine.app_id}/packages/deploy HTTP/1.1\r\nContent-Length: {size}",
    )
    writer.write(bytes(1024))
    await asyncio.wait_for(began.wait(), 5)
    assert not left.is_set()
    writer.transport.abort()
    await asyncio.wait_for(left.wait(), 5)


async def test_a_body_is_asked_for_only_when_the_service_wants_it(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    wanted = asyncio.Event()

    async def want_later(request: web.Request) -> web.StreamResponse:
        await wanted.wait()
        await lets_body_come(request)
        return web.json_response({"body": (await request.read()).decode()})

    stage.packages.handle = want_later
    head = f"POST /api/agent-apps/{mine.app_id}/packages HTTP/1.1\r\nContent-Length: 4\r\nExpect: 100-continue"
    reader, writer = await raw_request(stage.gateway, mine, head)
    asked = asyncio.create_task(reader.readuntil(b"\r\n\r\n"))

    async def is_at_the_service() -> bool:
        return bool(stage.packages.seen)

    await stage.until(is_at_the_service)
    assert not asked.done()
    wanted.set()
    assert await asyncio.wait_for(asked, 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"body")
    assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
    assert b'{"body": "body"}' in await reader.readuntil(b"}")
    writer.close()


@pytest.mark.parametrize(("key", "status"), [("nobody", 401), (None, 402)])
async def test_a_refused_body_is_never_asked_for(stage: "Stage", key: str | None, status: int) -> None:
    mine = await stage.gateway.account()

    async def refuse(request: web.Request) -> web.StreamResponse:
        return web.json_response({}, status=402, reason="Insufficient credits")

    stage.packages.handle = refuse
    head = (
        f"POST /api/agent-apps/{mine.app_id}/packages/deploy HTTP/1.1\r\nHost: pac\r\nContent-Length: 4\r\n"
        f"Expect: 100-continue\r\nAuthorization: Bearer {key or mine.key}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", stage.gateway.port)
    writer.write(head.encode())
    assert (await reader.readline()).startswith(f"HTTP/1.1 {status} ".encode())
    writer.close()


async def test_a_client_cannot_say_who_it_is(stage: "Stage") -> None:
    mine, theirs = await stage.gateway.account(), await stage.gateway.account()
    path = f"/api/agent-apps/{theirs.app_id}/packages?limit=1&x=%2Fa%20b"
    await stage.gateway.call("GET", path, theirs.key)
    stolen = stage.packages.seen[-1].headers["PAC-Identity"]
    for forged in ("forged", stolen):
        for headers in ({"PAC-Identity": forged}, {"PAC-Identity": forged, "Connection": "PAC-Identity"}):
            own = f"/api/agent-apps/{mine.app_id}/packages?limit=1&x=%2Fa%20b"
            answer = await stage.gateway.call("GET", own, mine.key, headers=headers)
            assert answer.status == 200
            assert stage.packages.seen[-1].headers.getall("PAC-Identity") not in ([forged], [forged, forged])
            caller = stage.packages.caller()
            assert caller.account_id == mine.account_id
            assert caller.actor == f"key-{mine.key_id}"
        for no_key in (None, "x"):
            assert (await stage.gateway.call("GET", path, no_key, headers={"PAC-Identity": forged})).status == 401


async def test_a_service_is_told_who_calls_about_which_app(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    app = f"/api/agent-apps/{mine.app_id}"
    await stage.gateway.call("PATCH", app, mine.key, json={"signature_policy": "required"})
    await stage.gateway.call("GET", f"{app}/packages?x=%2F", mine.key, headers={"Cookie": "sb-x-auth-token=secret"})
    caller, request = stage.packages.caller(), stage.packages.seen[-1]
    assert caller.app is not None
    assert (str(caller.app.id), caller.app.signature_policy) == (mine.app_id, "required")
    assert caller.scopes == frozenset(Scope)
    assert not caller.operator
    assert request.raw_path == f"{app}/packages?x=%2F"
    assert not {"Cookie", "Authorization"} & set(request.headers)
    stage.deployments.seen.append(request)
    with pytest.raises(NotIdentified):  # each identity is for one service only
        stage.deployments.caller()


async def test_anybody_may_ask_for_the_queue_and_nobody_is_named(stage: "Stage") -> None:
    answer = await stage.gateway.call("GET", "/api/deployments/queue/stats")
    assert answer.status == 200
    caller = stage.deployments.caller()
    assert (caller.actor, caller.account_id, caller.scopes) == ("anyone", None, frozenset())


async def test_what_is_open_to_anybody_is_not_open_without_limit(stage: "Stage") -> None:
    path = "/api/deployments/queue/stats"
    async with stage.another(public_requests_per_second=0.1, public_requests_burst=2) as gateway:
        mine = await gateway.account()
        answers = [await gateway.call("GET", path) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 429]
        assert answers[2].headers["Retry-After"] == "10"
        assert (await gateway.call("GET", "/healthz")).status == 200
        assert (await gateway.call("GET", "/api/agent-apps", mine.key)).status == 200


async def test_the_operator_grants_credits_to_accounts_that_exist(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    path = f"/api/admin/accounts/{mine.account_id}/credits"
    grant = {"amount": 5, "reason": "x"}
    assert (await stage.gateway.call("POST", path, "operator-of-the-tests", json=grant)).status == 200
    assert stage.billing.caller().operator
    assert (await stage.gateway.call("POST", path, mine.key, json=grant)).status == 403
    for unknown in (uuid4(), "x"):
        path = f"/api/admin/accounts/{unknown}/credits"
        assert (await stage.gateway.call("POST", path, "operator-of-the-tests", json=grant)).status == 404
    assert len(stage.billing.seen) == 1


async def test_unknown_foreign_deleted_and_malformed_apps_get_the_same_answer(stage: "Stage") -> None:
    mine, theirs = await stage.gateway.account(), await stage.gateway.account()
    gone = await stage.gateway.call("POST", "/api/agent-apps", mine.key, json={"name": "gone"})
    gone_id = gone.json["agent_app"]["id"]
    await stage.gateway.call("DELETE", f"/api/agent-apps/{gone_id}?force=true", mine.key)
    request_id = "the-same-for-all"
    for method, rest in (("GET", ""), ("DELETE", ""), ("GET", "/packages"), ("POST", "/packages/deploy")):
        answers = [
            await stage.gateway.call(
                method, f"/api/agent-apps/{app_id}{rest}", mine.key, headers={"X-Request-Id": request_id}
            )
            for app_id in (uuid4(), theirs.app_id, gone_id, "x", "%2e%2e", "a" * 2000, f"{mine.app_id}x", "%00")
        ]
        own = {"Date", "RateLimit"}  # when, and how much the caller has asked
        headers = [{n: v for n, v in answer.headers.items() if n not in own} for answer in answers]
        assert {(answer.status, answer.reason, answer.body) for answer in answers} == {
            (404, "Agent app not found", answers[0].body)
        }
        assert all(each == headers[0] for each in headers)
    assert answers[0].json["error"] == "Agent app not found"
    assert not stage.packages.seen


async def test_who_comes_before_whether_it_exists_and_both_before_the_body(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    reader = await stage.gateway.key(mine.account_id, scopes=["read"])
    wrong = b"this is no form"
    for app_id in (mine.app_id, uuid4()):
        path = f"/api/agent-apps/{app_id}/packages/deploy"
        nobody = await stage.gateway.call("POST", path, None, data=wrong)
        assert (nobody.status, nobody.json["error"]) == (401, "Invalid API key or session")
        lacking = await stage.gateway.call("POST", path, reader["key"], data=wrong)
        assert (lacking.status, lacking.json["scope"]) == (403, "deploy")
        assert lacking.reason == "This key lacks the scope deploy"
    assert (await stage.gateway.call("POST", path, mine.key, data=wrong)).status == 404
    assert not stage.packages.seen


@pytest.mark.parametrize(
    "path",
    [
        "/internal/submissions/00000000-0000-0000-0000-000000000000",
        "/api/deployments/../../internal/submissions/00000000-0000-0000-0000-000000000000",
        "/api/deployments/..%2F..%2Finternal%2Fsubmissions",
        "/api/deployments/%2e%2e/x",
        "/api/agent-apps/APP/packages/..",
        "/api/agent-apps/APP/packages/../../../../internal/x",
        "/api/agent-apps/APP/packages/%2e%2e%2f%2e%2e%2finternal",
        "//internal/submissions/00000000-0000-0000-0000-000000000000",
        "/api//deployments/queue/stats",
        "http://127.0.0.1/internal/submissions/x",
        "/metrics",
    ],
)
async def test_no_path_leads_to_the_inside(stage: "Stage", path: str) -> None:
    mine = await stage.gateway.account()
    reader, writer = await raw_request(stage.gateway, mine, f"GET {path.replace('APP', mine.app_id)} HTTP/1.1")
    assert (await reader.readline()).startswith(b"HTTP/1.1 404 ")
    writer.close()
    assert not [*stage.packages.seen, *stage.deployments.seen, *stage.billing.seen]


async def away(upstream: "Upstream") -> None:
    await upstream.stop()


async def dropping(upstream: "Upstream") -> None:
    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    upstream.handle = drop


@pytest.mark.parametrize("fault", [away, dropping])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_service_that_is_away_is_a_503_with_a_time_to_repeat(
    stage: "Stage",
    fault: "Callable[[Upstream], Awaitable[None]]",
    method: str,
) -> None:
    mine = await stage.gateway.account()
    await fault(stage.packages)
    answer = await stage.gateway.call(method, f"/api/agent-apps/{mine.app_id}/packages", mine.key)
    assert (answer.status, answer.reason) == (503, "Not available at the moment")
    assert answer.headers["Retry-After"] == "1"
    assert "127.0.0.1" not in answer.body.decode()


async def test_a_service_that_never_answers_is_given_up(stage: "Stage") -> None:
    mine = await stage.gateway.account()

    async def never(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(3600)
        return web.Response()

    stage.packages.handle = never
    async with stage.another(upstream_answer_timeout_seconds=0.3) as hurried:
        answer = await hurried.call("POST", f"/api/agent-apps/{mine.app_id}/packages", mine.key, data=b"x")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")


async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(stage: "Stage") -> None:
    mine = await stage.gateway.account()

    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"half")
        assert request.transport is not None
        request.transport.abort()
        return response

    stage.packages.handle = break_off
    with pytest.raises(aiohttp.ClientPayloadError):
        await stage.gateway.call("GET", f"/api/agent-apps/{mine.app_id}/packages", mine.key)


async def test_a_compressed_body_is_refused_before_it_can_grow(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    answer = await stage.gateway.call(
        "POST",
        f"/api/agent-apps/{mine.app_id}/packages",
        mine.key,
        data=b"\x1f\x8b",
        headers={"Content-Encoding": "gzip"},
    )
    assert answer.status == 415
    assert not stage.packages.seen


async def test_a_redirect_is_for_the_client_and_bodiless_answers_have_no_body(stage: "Stage") -> None:
    mine = await stage.gateway.account()

    async def redirect(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, reason="Over there", headers={"Location": "http://s3/x?sig=a%2Fb"})

    stage.packages.handle = redirect
    path = f"/api/agent-apps/{mine.app_id}/packages/{uuid4()}/download"
    answer = await stage.gateway.call("GET", path, mine.key)
    assert (answer.status, answer.reason, answer.headers["Location"]) == (302, "Over there", "http://s3/x?sig=a%2Fb")

    async def nothing(request: web.Request) -> web.StreamResponse:
        return web.Response(status=204)

    stage.packages.handle = nothing
    deleted = await stage.gateway.call("DELETE", f"/api/agent-apps/{mine.app_id}/packages/{uuid4()}", mine.key)
    assert (deleted.status, deleted.body) == (204, b"")


async def test_head_is_get_without_the_body(stage: "Stage") -> None:
    mine = await stage.gateway.account()

    async def listed(request: web.Request) -> web.StreamResponse:
        return web.json_response({"packages": []})

    stage.packages.handle = listed
    head = await stage.gateway.call("HEAD", f"/api/agent-apps/{mine.app_id}/packages", mine.key)
    assert (head.status, head.body, head.headers["Content-Length"]) == (200, b"", "16")
    assert stage.packages.caller().account_id == mine.account_id


async def test_a_request_id_that_is_no_id_is_replaced(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    unsafe = {"X-Request-Id": "a b"}
    answer = await stage.gateway.call("GET", f"/api/agent-apps/{mine.app_id}/packages", mine.key, headers=unsafe)
    assert answer.headers["X-Request-Id"] == stage.packages.seen[-1].headers["X-Request-Id"] != "a b"
