"""Requests to strangers over real sockets: what is not permitted is never connected to, whatever it is called."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import cycle
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from pac.servicekit.destinations import PORTS, Destination, NotAllowed, Rules, is_public, networks_in
from pac.servicekit.outgoing import Answer, NoAnswer, Outgoing
from pac.testkit.tricky_urls import tricky_urls

NEAR = Rules(allowed_networks=networks_in("127.0.0.2/32"))
CONNECTED: list[tuple[Any, ...]] = []  # every address that this process has asked to be connected to


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect":
        CONNECTED.append(arguments[1])


sys.addaudithook(_note)


@pytest.fixture
def connected() -> Iterator[list[tuple[Any, ...]]]:
    CONNECTED.clear()
    yield CONNECTED
    CONNECTED.clear()


@dataclass
class Leading(AbstractResolver):
    """A resolver whose answers change with every question, as a hostile name server's do."""

    answers: Iterator[Sequence[str]]
    asked: list[str] = field(default_factory=list)

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_UNSPEC) -> list[ResolveResult]:
        del family
        self.asked.append(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in next(self.answers)
        ]

    async def close(self) -> None:
        self.asked.append("closed")


def always(*answers: Sequence[str]) -> Leading:
    return Leading(cycle(answers))


@dataclass
class Server:
    """Counts who connects; `respond` answers."""

    port: int = 0
    requests: list[web.Request] = field(default_factory=list)

    def url(self, host: str) -> str:
        return f"http://{host}:{self.port}/hook"


@asynccontextmanager
async def serving(host: str, respond: Any = None, port: int = 0) -> AsyncIterator[Server]:
    server = Server()

    async def handle(request: web.Request) -> web.StreamResponse:
        server.requests.append(request)
        answer: web.StreamResponse = await respond(request) if respond else web.Response()
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    server.port = runner.addresses[0][1]
    try:
        yield server
    finally:
        await runner.cleanup()


def client(rules: Rules, names: AbstractResolver | None = None, **options: Any) -> Outgoing:
    return Outgoing(rules, **{"timeout_seconds": 2.0, "answer_max_bytes": 1000, **options}, names=names)


async def send(outgoing: Outgoing, url: str) -> Answer | NoAnswer:
    return await outgoing.post(outgoing.rules.destination(url), b"{}", {"Content-Type": "application/json"})


async def test_no_tricky_url_ever_opens_a_connection_to_a_private_address(connected: list[tuple[Any, ...]]) -> None:
    """Each twice: as a user may register it, and past the look at its text, so that the client alone has to hold."""
    private = (["127.0.0.1"], ["::1"], ["169.254.169.254", "10.0.0.1"], ["::ffff:127.0.0.1"], ["64:ff9b::7f00:1"])
    async with serving("127.0.0.1") as trap:
        rules = Rules(ports=PORTS | {trap.port})
        urls, tried, ports = tricky_urls(trap.port), 0, set[int | None]()
        assert len(urls) >= 200
        async with client(rules, always(*private)) as outgoing:
            for text in urls:
                destinations = []
                with suppress(NotAllowed):
                    destinations.append(rules.destination(text))
                with suppress(ValueError):
                    if (url := URL(text)).scheme in {"http", "https"} and url.raw_host:
                        destinations += [Destination(url, is_near=False), Destination(url, is_near=True)]
                for destination in destinations:
                    tried += 1
                    ports.add(destination.url.port)
                    assert isinstance(await outgoing.post(destination, b"{}", {}), NoAnswer), text
        assert tried > len(urls)
        assert trap.requests == []
        assert [place for place in connected if place[1] in ports] == [], "others of this process connect elsewhere"
        # The trap works, and so does the look at connections.
        async with client(Rules(allowed_networks=networks_in("127.0.0.1/32"))) as outgoing:
            assert isinstance(await send(outgoing, trap.url("127.0.0.1")), Answer)
        assert len(trap.requests) == 1
        assert connected == [("127.0.0.1", trap.port)]


async def test_a_name_that_leads_elsewhere_a_moment_later_changes_nothing(connected: list[tuple[Any, ...]]) -> None:
    async with serving("127.0.0.2") as allowed, serving("127.0.0.1", port=allowed.port) as trap:
        names = always(["127.0.0.2"], ["127.0.0.1"], ["127.0.0.1", "127.0.0.2"], ["127.0.0.2", "127.0.0.1"])
        async with client(NEAR, names) as outgoing:
            hosts = [f"rebinding-{number}.example" for number in range(8)]
            answers = [await send(outgoing, allowed.url(host)) for host in hosts]
            again = [await send(outgoing, allowed.url(host)) for host in hosts]
        assert [isinstance(answer, Answer) for answer in answers] == [True, False, True, True] * 2
        assert answers[1] == NoAnswer("leads to no address that is public")
        assert trap.requests == []
        assert {address for address, _ in connected} == {"127.0.0.2"}
        assert len(allowed.requests) == sum(isinstance(answer, Answer) for answer in (*answers, *again))
    assert names.asked[-1] == "closed"


async def test_the_systems_own_resolver_is_looked_at_as_well(connected: list[tuple[Any, ...]]) -> None:
    async with serving("127.0.0.1") as trap:
        async with client(Rules(ports=PORTS | {trap.port})) as outgoing:
            for host in ("localhost", "localhost."):
                answer = await send(outgoing, f"https://{host}:{trap.port}/")
                assert answer == NoAnswer("leads to no address that is public")
        assert connected == []
        async with client(Rules(allowed_networks=networks_in("127.0.0.0/8, ::1/128"))) as outgoing:
            assert isinstance(await send(outgoing, trap.url("localhost")), Answer)


async def test_plain_http_never_leaves_the_allowed_networks(connected: list[tuple[Any, ...]]) -> None:
    assert is_public(ip_address("1.1.1.1"))
    async with client(NEAR, always(["1.1.1.1"])) as outgoing:
        answer = await send(outgoing, "http://public.example/")
    assert answer == NoAnswer("leads to no address that is public")
    assert connected == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_is_not_followed(status: int, connected: list[tuple[Any, ...]]) -> None:
    async with serving("127.0.0.1") as trap:

        async def elsewhere(request: web.Request) -> web.Response:
            return web.Response(status=status, headers={"Location": trap.url("127.0.0.1"), "Set-Cookie": "a=b"})

        async with serving("127.0.0.2", elsewhere) as allowed, client(NEAR) as outgoing:
            for _ in range(2):
                answer = await send(outgoing, allowed.url("127.0.0.2"))
                assert isinstance(answer, Answer)
                assert answer.status == status
            assert "Cookie" not in allowed.requests[1].headers
        assert trap.requests == []
    assert {address for address, _ in connected} == {"127.0.0.2"}


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving("127.0.0.1") as proxy, serving("127.0.0.2") as allowed:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url("127.0.0.1"))
        async with client(NEAR) as outgoing:
            assert isinstance(await send(outgoing, allowed.url("127.0.0.2")), Answer)
        assert proxy.requests == []
        assert len(allowed.requests) == 1


async def test_an_answer_has_come_when_its_status_has_and_is_read_no_further_than_the_limit() -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Retry-After": "7"})
        await response.prepare(request)
        with suppress(ConnectionError):
            while True:
                await response.write(b"x" * 65_536)
                sent += 65_536
        return response

    async with serving("127.0.0.2", endless) as server, client(NEAR, timeout_seconds=30.0) as outgoing:
        answer = await send(outgoing, server.url("127.0.0.2"))
        assert isinstance(answer, Answer)
        assert (answer.status, answer.headers["retry-after"]) == (200, "7")
    assert sent < 20_000_000  # what the system's buffers hold


async def test_one_that_hangs_is_not_waited_for_and_one_that_is_away_is_told_in_a_line() -> None:
    never = asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        await never.wait()
        return web.Response()

    async def drop(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=202)
        await response.prepare(request)
        await never.wait()
        return response

    async with client(NEAR, timeout_seconds=0.2) as outgoing:
        async with serving("127.0.0.2", hang) as server:
            url = server.url("127.0.0.2")
            assert await send(outgoing, url) == NoAnswer("did not answer within 0.2 s")
        assert await send(outgoing, url) == NoAnswer("cannot be connected to (ConnectionRefusedError)")
        async with serving("127.0.0.2", drop) as server:
            answer = await send(outgoing, server.url("127.0.0.2"))
            assert answer == NoAnswer("closed the connection without an answer")
        async with serving("127.0.0.2", half) as server:
            late = await send(outgoing, server.url("127.0.0.2"))
            assert isinstance(late, Answer)
            assert late.status == 202
        async with serving("127.0.0.2") as server:
            answer = await send(outgoing, f"https://127.0.0.2:{server.port}/")
            assert answer == NoAnswer("does not speak TLS as it should")
    async with client(Rules(), always([])) as outgoing:
        assert await send(outgoing, "https://gone.example/") == NoAnswer("leads to no address that is public")
