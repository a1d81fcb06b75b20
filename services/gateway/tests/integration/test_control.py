"""What goes through the gateway about one deployment: what the hub does not know yet, and streams of events."""

import asyncio
import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from aiohttp import ClientResponse, web

from pac.contracts.uploads import FORM_BYTES_MAX

if TYPE_CHECKING:
    from services.gateway.tests.integration.conftest import Stage, Tenant

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CALLS = [("POST", "cancel"), ("GET", "events")]


async def unknown(_: web.Request) -> web.StreamResponse:
    return web.json_response({"error": "Deployment not found", "code": "not_found"}, status=404)


async def broken(_: web.Request) -> web.StreamResponse:
    return web.json_response({"error": "x"}, status=500)


@pytest.mark.parametrize(("method", "what"), CALLS)
async def test_what_only_packages_knows_is_not_queued_yet(stage: "Stage", method: str, what: str) -> None:
    mine, deployment = await stage.gateway.account(), uuid4()
    stage.deployments.handle = unknown
    answer = await stage.gateway.call(method, f"/api/deployments/{deployment}/{what}", mine.key)
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (409, "not_yet_queued", "1")
    assert stage.packages.seen[-1].raw_path == f"/internal/submissions/{deployment}"
    assert stage.packages.caller().account_id == mine.account_id


@pytest.mark.parametrize(("method", "what"), CALLS)
async def test_what_nobody_knows_is_not_found_and_without_packages_nobody_can_say(
    stage: "Stage", method: str, what: str
) -> None:
    mine, path = await stage.gateway.account(), f"/api/deployments/{uuid4()}/{what}"
    stage.deployments.handle = stage.packages.handle = unknown
    answer = await stage.gateway.call(method, path, mine.key)
    assert (answer.status, answer.json["error"]) == (404, "Deployment not found")
    stage.packages.handle = broken
    assert (await stage.gateway.call(method, path, mine.key)).status == 503
    await stage.packages.stop()
    gone = await stage.gateway.call(method, path, mine.key)
    assert (gone.status, gone.headers["Retry-After"]) == (503, "1")


async def test_who_may_only_read_cannot_cancel(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    reader = await stage.gateway.key(mine.account_id, scopes=["read"])
    answer = await stage.gateway.call("POST", f"/api/deployments/{uuid4()}/cancel", reader["key"])
    assert (answer.status, answer.json["scope"]) == (403, "deploy")
    assert not stage.deployments.seen


async def test_the_list_goes_on_with_its_query(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    answer = await stage.gateway.call("GET", "/api/deployments?status=queued&limit=2", mine.key)
    assert answer.status == 200
    assert stage.deployments.seen[-1].raw_path == "/api/deployments?status=queued&limit=2"


# ---- dry runs --------------------------------------------------------------------------------------------------------

CHECKED = {"dry_run": True, "package": {"version": "1.0.0", "size_bytes": 2_000_000}, "warnings": []}
QUOTED = {"cost": 2, "available": 5, "balance_after": 3, "sufficient": True}


async def says_checked(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.json_response(CHECKED)


async def says_quoted(_: web.Request) -> web.StreamResponse:
    return web.json_response({**QUOTED, "more": 1})


async def refuses(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.json_response({"error": "Package validation failed", "details": ["Invalid APKG format"]}, status=400)


async def test_a_dry_run_gets_billings_quote(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    stage.packages.handle, stage.billing.handle = says_checked, says_quoted
    path = f"/api/agent-apps/{mine.app_id}/packages/deploy?dry_run=true"
    answer = await stage.gateway.call("POST", path, mine.key, data=b"x" * 100_000)
    assert (answer.status, answer.json) == (200, {**CHECKED, **QUOTED})
    assert stage.packages.seen[-1].raw_path == path
    assert stage.billing.seen[-1].raw_path == "/internal/quote?size_bytes=2000000"
    assert stage.billing.caller().account_id == mine.account_id


@pytest.mark.parametrize("billing", ["away", "broken"])
async def test_without_billing_its_part_is_left_out(stage: "Stage", billing: str) -> None:
    mine = await stage.gateway.account()
    stage.packages.handle, stage.billing.handle = says_checked, broken
    if billing == "away":
        await stage.billing.stop()
    path = f"/api/agent-apps/{mine.app_id}/packages/deploy?dry_run=true"
    answer = await stage.gateway.call("POST", path, mine.key, data=b"x")
    assert (answer.status, answer.json) == (200, CHECKED)


async def test_what_would_be_refused_and_what_is_no_dry_run_is_passed_on(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    path = f"/api/agent-apps/{mine.app_id}/packages/deploy"
    stage.packages.handle = refuses
    answer = await stage.gateway.call("POST", f"{path}?dry_run=true", mine.key, data=b"x")
    assert (answer.status, answer.json["details"]) == (400, ["Invalid APKG format"])
    stage.packages.handle = says_checked
    assert not stage.billing.seen
    answer = await stage.gateway.call("POST", f"{path}?dry_run=perhaps", mine.key, data=b"x")
    assert (answer.status, answer.json["details"]) == (400, ["dry_run: true or false"])


def quotes(**said: Any) -> Handler:
    async def quoted(_: web.Request) -> web.StreamResponse:
        return web.json_response({**QUOTED, "cost": 7, "available": 1, **said})

    return quoted


async def test_what_cannot_be_paid_is_refused_before_its_first_byte(stage: "Stage") -> None:
    mine = await stage.gateway.account()
    stage.billing.handle = quotes(short=True)
    path, asked = f"/api/agent-apps/{mine.app_id}/packages/deploy", asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        asked.set()
        yield b"x"

    headers = {"Content-Length": str(9 * 1_048_576), "Expect": "100-continue"}
    answer = await stage.gateway.call("POST", path, mine.key, data=body(), headers=headers)
    assert (answer.status, answer.reason) == (402, "Insufficient credits")
    shown = {name: answer.json[name] for name in ("error", "required", "available")}
    assert shown == {"error": "Insufficient credits", "required": 7, "available": 1}
    sizes = [int(one.query["size_bytes"]) for one in stage.billing.seen]
    assert sizes == [9 * 1_048_576 - FORM_BYTES_MAX, 9 * 1_048_576], (
        "the least that it may be, and what it most likely is"
    )
    assert not asked.is_set()
    assert not stage.packages.seen


@pytest.mark.parametrize("billing", ["may change", "away", "broken", "hangs", "with a key", "small"])
async def test_only_a_fresh_answer_refuses(stage: "Stage", billing: str) -> None:
    mine = await stage.gateway.account()
    stage.packages.handle = says_checked
    over = asyncio.Event()

    async def hangs(_: web.Request) -> web.StreamResponse:
        await over.wait()
        return web.Response()

    match billing:
        case "may change":
            stage.billing.handle = quotes(short=False, sufficient=False)
        case "away":
            await stage.billing.stop()
        case "hangs":
            stage.billing.handle = hangs
        case "broken":
            stage.billing.handle = broken
        case _:
            stage.billing.handle = quotes(short=True)
    path = f"/api/agent-apps/{mine.app_id}/packages/deploy"
    headers = {"Idempotency-Key": "paid-for-already"} if billing == "with a key" else {}
    body = io.BytesIO(b"x" * (8 * 1_048_576 - (billing == "small")))
    answer = await stage.gateway.call("POST", path, mine.key, data=body, headers=headers)
    over.set()
    assert (answer.status, answer.json) == (200, CHECKED)


# ---- streams ---------------------------------------------------------------------------------------------------------


class Telling:
    """A service that says one event at a time, when it is told to."""

    def __init__(self) -> None:
        self.next: asyncio.Queue[bytes] = asyncio.Queue()
        self.left = asyncio.Event()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            while chunk := await asyncio.wait_for(self._said(request), 30):
                await response.write(chunk)
        except ConnectionResetError:
            self.left.set()
            raise
        await response.write_eof()
        return response

    async def _said(self, request: web.Request) -> bytes:
        while True:
            try:
                return await asyncio.wait_for(self.next.get(), 0.05)
            except TimeoutError:
                if request.transport is None or request.transport.is_closing():
                    raise ConnectionResetError from None


@asynccontextmanager
async def stream(stage: "Stage", mine: "Tenant", last: str = "") -> AsyncIterator[ClientResponse]:
    headers = {"Authorization": f"Bearer {mine.key}", "Accept": "text/event-stream", "Last-Event-ID": last}
    url = f"{stage.gateway.url}/api/deployments/{uuid4()}/events"
    async with stage.gateway.http.get(url, headers=headers) as response:
        yield response


async def test_events_come_as_they_are_said(stage: "Stage") -> None:
    mine, telling = await stage.gateway.account(), Telling()
    stage.deployments.handle = telling
    telling.next.put_nowait(b"retry: 1000\n\n")
    async with stream(stage, mine, "7") as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        for number in range(1, 4):
            telling.next.put_nowait(f"id: {number}\n\n".encode())
            read = await asyncio.wait_for(response.content.readuntil(f"id: {number}\n\n".encode()), 5)
            assert read.endswith(b"\n\n")
        telling.next.put_nowait(b"")
        assert await asyncio.wait_for(response.read(), 5) == b""
    sent = stage.deployments.seen[-1].headers
    assert (sent["Accept"], sent["Last-Event-ID"]) == ("text/event-stream", "7")


async def test_a_client_that_leaves_ends_the_stream_at_the_service(stage: "Stage") -> None:
    mine, telling = await stage.gateway.account(), Telling()
    stage.deployments.handle = telling
    telling.next.put_nowait(b"retry: 1000\n\n")
    async with stream(stage, mine) as response:
        await asyncio.wait_for(response.content.readline(), 5)
        response.close()
    await asyncio.wait_for(telling.left.wait(), 5)


async def test_a_gateway_that_is_to_end_ends_its_streams(stage: "Stage") -> None:
    mine, telling = await stage.gateway.account(), Telling()
    stage.deployments.handle = telling
    telling.next.put_nowait(b"retry: 1000\n\n")
    async with stream(stage, mine) as response:
        await asyncio.wait_for(response.content.readline(), 5)
        stage.gateway.stopping.set()
        assert await asyncio.wait_for(response.read(), 5) == b"\n", "a whole answer, not one that was cut off"
    await asyncio.wait_for(telling.left.wait(), 5)
