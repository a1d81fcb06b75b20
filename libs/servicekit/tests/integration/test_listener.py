"""How a server ends while it is asked, and how two of them share a port; on both event loops that we run on."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvloop
from aiohttp import ClientSession, TCPConnector, web

from pac.servicekit.http import Route, build_http
from pac.servicekit.listener import Listener
from pac.servicekit.metrics import Metrics
from pac.testkit.eventually import eventually

Run = Callable[[Coroutine[Any, Any, None]], None]
QUESTION = b"GET /who HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    def on_loop(what: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(what, 30))

    return on_loop


@dataclass
class Server:
    listener: Listener
    stopping: asyncio.Event
    slow: asyncio.Event
    port: int

    async def end(self, *, idle_seconds: float = 0.2, seconds: float = 3.0) -> None:
        self.stopping.set()
        await self.listener.drain(idle_seconds=idle_seconds, seconds=seconds)
        await self.listener.cleanup()


@asynccontextmanager
async def serving(name: str, port: int = 0, *, reuse_port: bool = True) -> AsyncIterator[Server]:
    slow, stopping = asyncio.Event(), asyncio.Event()

    async def who(_: web.Request) -> web.StreamResponse:
        return web.json_response(name)

    async def wait(_: web.Request) -> web.StreamResponse:
        await slow.wait()
        return web.json_response(name)

    async def size(request: web.Request) -> web.StreamResponse:
        return web.json_response(len(await request.read()))

    routes = [
        Route("GET", "/who", who, public=True),
        Route("GET", "/wait", wait, public=True),
        Route("POST", "/size", size, public=True),
    ]
    app = build_http(routes, verifier=None, metrics=Metrics(), stopping=stopping)
    listener = Listener(app, drain_seconds=0.1)
    await listener.setup()
    try:
        yield Server(listener, stopping, slow, await listener.listen("127.0.0.1", port, reuse_port=reuse_port))
    finally:
        await listener.cleanup()


def test_a_taken_port_is_taken_unless_both_share_it(run: Run) -> None:
    async def told() -> None:
        async with serving("one", reuse_port=False) as one:
            for shares in (False, True):
                with pytest.raises(OSError, match="address already in use"):
                    async with serving("two", one.port, reuse_port=shares):
                        pass
        async with serving("one") as one:
            with pytest.raises(OSError, match="address already in use"):
                async with serving("two", one.port, reuse_port=False):
                    pass
            async with serving("two", one.port) as two:
                assert two.port == one.port

    run(told())


def test_an_open_connection_is_answered_once_more_and_told_to_go(run: Run) -> None:
    async def told() -> None:
        async with serving("one") as one, ClientSession(f"http://127.0.0.1:{one.port}") as http:
            async with http.get("/who") as before:
                assert (before.status, before.headers.get("Connection")) == (200, None)
            ending = asyncio.create_task(one.end(idle_seconds=5.0, seconds=5.0))
            await eventually(lambda: not one.listener.sites)
            async with http.get("/who") as last:
                assert (last.status, last.headers["Connection"]) == (200, "close")
            async with asyncio.timeout(1):  # nothing is left to wait for
                await ending

    run(told())


def test_what_is_being_asked_is_answered_and_what_is_idle_is_closed(run: Run) -> None:
    async def told() -> None:
        async with serving("one") as one, ClientSession(f"http://127.0.0.1:{one.port}") as http:
            idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", one.port)
            waiting = asyncio.create_task(http.get("/wait"))
            sent = asyncio.Event()

            async def body() -> AsyncIterator[bytes]:
                yield bytes(1000)
                await sent.wait()
                yield bytes(1000)

            uploading = asyncio.create_task(http.post("/size", data=body()))
            await eventually(lambda: len(one.listener.server.connections if one.listener.server else ()) == 3)
            ending = asyncio.create_task(one.end())
            assert await idle_reader.read() == b""
            assert not ending.done()
            one.slow.set()
            sent.set()
            assert await (await waiting).json() == "one"
            assert await (await uploading).json() == 2000
            await ending
            idle_writer.close()

    run(told())


def test_connections_that_wait_in_the_queue_are_served(run: Run) -> None:
    async def told() -> None:
        async with serving("one") as one:
            # The loop does not run meanwhile, so nobody accepts: the system has completed these connections alone.
            waiting = [socket.create_connection(("127.0.0.1", one.port)) for _ in range(20)]
            for connection in waiting:
                connection.sendall(QUESTION)
            ending = asyncio.create_task(one.end())
            for connection in waiting:
                reader, writer = await asyncio.open_connection(sock=connection)
                assert (await reader.readline()).startswith(b"HTTP/1.1 200")
                writer.close()
            await ending

    run(told())


def test_one_of_two_may_be_restarted_again_and_again_and_no_request_is_lost(run: Run) -> None:
    async def told() -> None:
        answered, over = {"one": 0, "two": 0}, asyncio.Event()

        async def ask(connector: TCPConnector) -> None:
            async with ClientSession(connector=connector) as http:
                while not over.is_set():
                    async with http.get(f"http://127.0.0.1:{first.port}/who") as answer:
                        assert answer.status == 200
                        answered[await answer.json()] += 1

        async with serving("one") as first:
            clients: list[Awaitable[None]] = [
                asyncio.ensure_future(ask(TCPConnector(force_close=number % 2 == 0))) for number in range(8)
            ]
            for _ in range(10):
                async with serving("two", first.port) as second:
                    wanted = answered["two"] + 20
                    await eventually(lambda: answered["two"] >= wanted)  # noqa: B023 - awaited at once
                    await second.end()
            over.set()
            await asyncio.gather(*clients)
        assert answered["one"] > 0

    run(told())
