"""The application over real sockets, without Postgres and Kafka: what every service answers alike."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID, uuid4

import pytest
from aiohttp import ClientSession, web
from structlog.testing import capture_logs

from pac.contracts.api import Request
from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import IDENTITY_HEADER, REQUEST_ID_HEADER
from pac.contracts.topics import ServiceName
from pac.eventlog import LogUnavailable
from pac.servicekit.http import (
    Route,
    body_in,
    build_http,
    caller_of,
    cause_of,
    cursor_of,
    let_body_come,
    page_in,
    reply,
    stopping_of,
    uuid_in,
)
from pac.servicekit.identity import IdentityVerifier
from pac.servicekit.listener import Listener
from pac.servicekit.metrics import Metrics
from pac.testkit.service import SIGNER, caller

SECRET = "hunter2hunter2"


class Wish(Request):
    name: str
    at: datetime | None = None
    count: int = 0


class Api:
    read: ClassVar[list[str]] = []
    waits: ClassVar[asyncio.Event] = asyncio.Event()

    async def whoami(self, request: web.Request) -> web.Response:
        who = caller_of(request)
        return reply({"actor": who.actor, "request_id": who.request_id, "cause": str(cause_of(request).correlation_id)})

    async def by_id(self, request: web.Request) -> web.Response:
        return reply({"id": str(uuid_in(request, "deployment_id"))})

    async def wish(self, request: web.Request) -> web.Response:
        self.read.append("wish")
        wish = await body_in(request, Wish)
        return reply({"name": wish.name}, status=201)

    async def list(self, request: web.Request) -> web.Response:
        page = page_in(request, (str, int))
        return reply({"limit": page.limit, "after": list(page.after), "next_cursor": cursor_of("x", 7)})

    async def fail(self, request: web.Request) -> web.Response:
        match request.match_info["how"]:
            case "refused":
                raise Refused(ErrorCode.TOO_LATE)
            case "log":
                raise LogUnavailable(f"postgresql://u:{SECRET}@h/d is away")
            case "timeout":
                raise TimeoutError
            case "bug":
                raise ZeroDivisionError(SECRET)
            case _:
                raise web.HTTPUnsupportedMediaType

    async def stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"begun")
        raise ZeroDivisionError

    async def lazy(self, request: web.Request) -> web.Response:
        if request.query.get("refuse"):
            raise Refused(ErrorCode.TOO_LARGE)
        await let_body_come(request)
        return reply({"size": len(await request.read())})

    async def wait(self, request: web.Request) -> web.Response:
        self.waits.set()
        await stopping_of(request).wait()
        return reply({"told": True})


class Bench:
    def __init__(self, url: str, http: ClientSession, metrics: Metrics, stopping: asyncio.Event) -> None:
        self.url, self.http, self.metrics, self.stopping = url, http, metrics, stopping

    def signed(self, method: str, path: str, **more: str) -> dict[str, str]:
        request_id = more.get("request_id", str(uuid4()))
        token = SIGNER.sign(
            caller(),
            audience=ServiceName.DEPLOYMENTS,
            method=method,
            path=more.get("signed_path", path),
            request_id=request_id,
        )
        return {REQUEST_ID_HEADER: request_id, IDENTITY_HEADER: token}

    async def call(self, method: str, path: str, **how: Any) -> tuple[web.Response, Any]:
        headers = {**self.signed(method, path), **how.pop("headers", {})}
        async with self.http.request(method, self.url + path, headers=headers, **how) as response:
            return response, await response.json(content_type=None)  # type: ignore[return-value] # the same attributes


@asynccontextmanager
async def serving() -> AsyncIterator[Bench]:
    api, metrics, stopping = Api(), Metrics(), asyncio.Event()
    Api.read.clear()
    routes = [
        Route("GET", "/api/me", api.whoami),
        Route("GET", "/api/deployments/{deployment_id}", api.by_id, public=True),
        Route("POST", "/api/wishes", api.wish),
        Route("GET", "/api/list", api.list, public=True),
        Route("GET", "/api/fail/{how}", api.fail, public=True),
        Route("GET", "/api/stream", api.stream, public=True),
        Route("POST", "/api/lazy", api.lazy, public=True, lazy_body=True),
        Route("GET", "/api/wait", api.wait, public=True),
    ]
    verifier = IdentityVerifier.from_base64(ServiceName.DEPLOYMENTS, SIGNER.public_key_base64)
    app = build_http(
        routes,
        verifier=verifier,
        metrics=metrics,
        stopping=stopping,
        body_max_size_bytes=2048,
        body_timeout_seconds=0.3,
    )
    listener = Listener(app, drain_seconds=2)
    await listener.setup()
    port = await listener.listen("127.0.0.1", 0)
    try:
        async with ClientSession() as http:
            yield Bench(f"http://127.0.0.1:{port}", http, metrics, stopping)
    finally:
        stopping.set()
        await listener.cleanup()


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with serving() as made:
        yield made


async def raw(bench: Bench, request: bytes, *, until: bytes = b"\r\n\r\n") -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(bench.url.rpartition(":")[2]))
    try:
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(5):
            return await reader.readuntil(until)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_the_caller_is_who_the_gateway_says_and_the_request_id_is_its(bench: Bench) -> None:
    request_id = str(uuid4())
    response, body = await bench.call("GET", "/api/me", headers=bench.signed("GET", "/api/me", request_id=request_id))
    assert response.status == 200
    assert body["request_id"] == body["cause"] == response.headers["X-Request-Id"] == request_id
    assert body["actor"].startswith("key-")


@pytest.mark.parametrize("path", ["/api/me", "/api/me?x=1"])
async def test_without_or_with_a_foreign_identity_there_is_401(bench: Bench, path: str) -> None:
    for headers in ({}, {IDENTITY_HEADER: "x.y.z"}, bench.signed("GET", path, signed_path="/api/other")):
        async with bench.http.get(bench.url + path, headers=headers) as response:
            assert response.status == 401
            assert (await response.json())["code"] == "unauthenticated"


async def test_a_bad_identity_is_not_taken_for_none_on_a_public_route(bench: Bench) -> None:
    async with bench.http.get(bench.url + "/api/list", headers={IDENTITY_HEADER: "x.y.z"}) as response:
        assert response.status == 401


async def test_the_identity_is_checked_before_the_body_is_asked_for(bench: Bench) -> None:
    head = b"POST /api/wishes HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 20\r\n\r\n"
    answer = await raw(bench, head)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert Api.read == []


async def test_a_body_is_asked_for_once_the_caller_is_known(bench: Bench) -> None:
    signed = "".join(f"{name}: {value}\r\n" for name, value in bench.signed("POST", "/api/wishes").items())
    head = f"POST /api/wishes HTTP/1.1\r\nHost: x\r\n{signed}Expect: 100-continue\r\nContent-Length: 12\r\n\r\n"
    assert (await raw(bench, head.encode())).startswith(b"HTTP/1.1 100 ")


async def test_an_upload_may_be_refused_before_its_first_byte(bench: Bench) -> None:
    head = b"POST /api/lazy%s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n"
    assert (await raw(bench, head % b"?refuse=1")).startswith(b"HTTP/1.1 413 Package too large")
    assert (await raw(bench, head % b"")).startswith(b"HTTP/1.1 100 ")


@pytest.mark.parametrize(
    ("how", "status", "code", "retry_after"),
    [
        ("refused", 409, "too_late", None),
        ("log", 503, "unavailable", "1"),
        ("timeout", 503, "unavailable", "1"),
        ("bug", 500, "internal", None),
        ("type", 415, "unsupported_media_type", None),
    ],
)
async def test_what_a_handler_raises_is_answered_in_one_form(
    bench: Bench, how: str, status: int, code: str, retry_after: str | None
) -> None:
    response, body = await bench.call("GET", f"/api/fail/{how}")
    assert (response.status, body["code"], response.headers.get("Retry-After")) == (status, code, retry_after)
    assert body["request_id"] == response.headers["X-Request-Id"]
    assert response.reason == body["error"]
    assert SECRET not in str(body)


@pytest.mark.parametrize("path", ["/nowhere", "/api/deployments/7", "/api/deployments/" + "g" * 36])
async def test_unknown_paths_and_malformed_ids_are_404(bench: Bench, path: str) -> None:
    response, body = await bench.call("GET", path)
    assert (response.status, body["code"]) == (404, "not_found")


async def test_another_method_is_405_and_says_which(bench: Bench) -> None:
    response, body = await bench.call("DELETE", "/api/wishes")
    assert (response.status, body["code"], response.headers["Allow"]) == (405, "method_not_allowed", "POST")


async def test_headers_up_to_64_kb_are_taken_and_more_is_431_without_quoting_them(bench: Bench) -> None:
    async with bench.http.get(bench.url + "/api/list", headers={"Cookie": "a=" + "x" * 60_000}) as response:
        assert response.status == 200
    with capture_logs() as lines:
        head = b"GET /api/list HTTP/1.1\r\nHost: x\r\nCookie: " + SECRET.encode() * 6000 + b"\r\n\r\n"
        answer = await raw(bench, head, until=b"}")
    assert b" 431 Request headers are too large\r\n" in answer
    assert b'"code":"headers_too_large"' in answer
    assert SECRET not in answer.decode()
    assert SECRET not in str(lines)


async def test_what_is_no_http_is_400_in_the_same_form(bench: Bench) -> None:
    answer = await raw(bench, b"BLAH BLAH BLAH\r\n\r\n", until=b"}")
    assert b" 400 The request is not valid\r\n" in answer
    assert b'"code":"invalid_request"' in answer


@pytest.mark.parametrize(
    ("how", "status", "told"),
    [
        ({"json": {"name": "a"}}, 201, None),
        ({"json": {"name": 7}}, 400, "name: "),
        ({"json": {"name": "a", "count": "7"}}, 400, "count: "),
        ({"json": {"name": "a", "nmae": SECRET}}, 400, "nmae: Unknown field"),
        ({"data": b"", "headers": {"Content-Type": "application/json"}}, 400, "name: Field required"),
        ({"data": b"{" + SECRET.encode(), "headers": {"Content-Type": "application/json"}}, 400, "Invalid JSON"),
        ({"data": b"a=1", "headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 415, None),
        ({"json": {"name": "a" * 3000}}, 413, None),
    ],
)
async def test_bodies_are_strict_and_never_quoted(
    bench: Bench, how: dict[str, Any], status: int, told: str | None
) -> None:
    response, body = await bench.call("POST", "/api/wishes", **how)
    assert response.status == status
    assert SECRET not in str(body)
    if told is not None:
        assert any(line.startswith(told) for line in body["details"])


async def test_a_body_without_length_is_cut_off_at_the_limit(bench: Bench) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(10):
            yield b"x" * 1000

    response, body = await bench.call(
        "POST", "/api/wishes", data=endless(), headers={"Content-Type": "application/json"}
    )
    assert (response.status, body["max_size_bytes"]) == (413, 2048)


async def test_a_body_that_does_not_come_is_408(bench: Bench) -> None:
    signed = "".join(f"{name}: {value}\r\n" for name, value in bench.signed("POST", "/api/wishes").items())
    head = f"POST /api/wishes HTTP/1.1\r\nHost: x\r\n{signed}Content-Length: 12\r\n\r\n{{"
    assert (await raw(bench, head.encode())).startswith(b"HTTP/1.1 408 ")


async def test_pages_take_only_cursors_of_this_list(bench: Bench) -> None:
    _, first = await bench.call("GET", "/api/list?limit=7")
    assert (first["limit"], first["after"]) == (7, [])
    _, second = await bench.call("GET", f"/api/list?cursor={first['next_cursor']}")
    assert second["after"] == ["x", 7]
    for wrong in ("limit=0", "limit=999", "limit=x", "cursor=x", f"cursor={cursor_of(7, 'x')}", "cursor=" + "A" * 5000):
        response, body = await bench.call("GET", f"/api/list?{wrong}")
        assert (response.status, body["code"]) == (400, "invalid_request")


async def test_figures_carry_the_routes_template_and_never_a_path(bench: Bench) -> None:
    some = uuid4()
    await bench.call("GET", f"/api/deployments/{some}")
    await bench.call("GET", f"/wp-admin/{some}")
    await bench.call("BREW", f"/api/deployments/{some}")
    text = (await bench.metrics.exposition())[0].decode()
    assert 'route="/api/deployments/{deployment_id}",status="200"' in text.replace('method="GET",', "")
    assert 'route="unmatched"' in text
    assert str(some) not in text
    assert "BREW" not in text


async def test_one_line_a_request_with_its_id(bench: Bench) -> None:
    with capture_logs() as lines:
        await bench.call("GET", f"/api/deployments/{UUID(int=7)}")
    [line] = [line for line in lines if line["event"] == "request_answered"]
    assert (line["route"], line["status"], line["method"]) == ("/api/deployments/{deployment_id}", 200, "GET")


async def test_a_stream_that_fails_is_cut_off_and_not_answered_twice(bench: Bench) -> None:
    answer = b""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(bench.url.rpartition(":")[2]))
    writer.write(b"GET /api/stream HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    assert answer.count(b"HTTP/1.1") == 1
    assert b"begun" in answer
    assert not answer.endswith(b"0\r\n\r\n")


async def test_a_waiting_request_is_told_when_the_process_ends() -> None:
    async with serving() as bench:
        waiting = asyncio.create_task(bench.call("GET", "/api/wait"))
        await asyncio.wait_for(Api.waits.wait(), 5)
        bench.stopping.set()
        _, body = await waiting
        assert body == {"told": True}


async def test_a_head_request_is_a_get_without_its_body(bench: Bench) -> None:
    async with bench.http.head(bench.url + "/api/list") as response:
        assert response.status == 200
