"""Requests to addresses that somebody else chose: only to where they may lead, bounded in time and size.

What a name resolves to is checked here, and the connection goes to the address that was checked: a name that leads
elsewhere a moment later changes nothing. No redirect is followed, no proxy of the environment asked, no cookie kept,
no other connection of the process waits for theirs.
"""

import asyncio
import socket
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from pac.servicekit.destinations import Destination, Rules

NUMERIC = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV


class NotPermitted(OSError):  # noqa: N818 - says what the matter is with the destination
    """Nothing was connected to."""


@dataclass(frozen=True)
class Answer:
    """Of its body only so much was read as the limit allows, and nothing kept."""

    status: int
    headers: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class NoAnswer:
    """`why` is one line without anything of the URL, of what was sent, or of what came back."""

    why: str


class Names(AbstractResolver):
    """The system's resolver in a few threads of its own: a name server that hangs keeps nobody else waiting."""

    def __init__(self, threads: int = 8) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="outgoing-names")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        asked = partial(socket.getaddrinfo, host, port, family, socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, asked)
        return [
            ResolveResult(hostname=host, host=str(address[0]), port=port, family=kind, proto=proto, flags=NUMERIC)
            for kind, _, proto, _, address in found
        ]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


@dataclass(frozen=True)
class Guard(AbstractResolver):
    """Gives only addresses that are permitted, and opens a socket to no other.

    An address that stands in a URL is never resolved, so the second is not for nothing.
    """

    rules: Rules
    is_near: bool
    names: AbstractResolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        found = [one for one in await self.names.resolve(host, port, family) if self._permits(one["host"])]
        if not found:
            raise NotPermitted("leads to no address that is public")
        return found

    def open_socket(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._permits(str(address[0])):
            raise NotPermitted("leads to no address that is public")
        return socket.socket(family, kind, protocol)

    async def close(self) -> None:
        await self.names.close()

    def _permits(self, host: str) -> bool:
        return self.rules.permits(ip_address(host), is_near=self.is_near)


class Outgoing:
    """Use it as an async context manager: the connections live that long. `names` is for tests."""

    def __init__(
        self, rules: Rules, *, timeout_seconds: float, answer_max_bytes: int, names: AbstractResolver | None = None
    ) -> None:
        self.rules = rules
        self._timeout_seconds = timeout_seconds
        self._answer_max_bytes = answer_max_bytes
        self._names = names or Names()
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        for is_near in (False, True):
            self._sessions[is_near] = self._session(Guard(self.rules, is_near, self._names))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in self._sessions.values():
            await session.close()
        await self._names.close()

    def _session(self, guard: Guard) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            # Each on a connection of its own: a kept one may be at its end, and nothing is sent twice here.
            connector=aiohttp.TCPConnector(limit=0, force_close=True, resolver=guard, socket_factory=guard.open_socket),
            timeout=aiohttp.ClientTimeout(total=self._timeout_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )

    async def post(self, destination: Destination, body: bytes, headers: Mapping[str, str]) -> Answer | NoAnswer:
        """One request, never repeated here. An answer has come when its status has, whatever becomes of its body."""
        assert self._sessions, "entered before it is used"
        sent = {"Accept-Encoding": "identity", **headers}
        answer: Answer | None = None
        try:
            async with self._sessions[destination.is_near].post(
                destination.url, data=body, headers=sent, allow_redirects=False
            ) as response:
                answer = Answer(response.status, response.headers.copy())
                if not await self._is_short(response.content):
                    response.close()
        except (aiohttp.ClientError, OSError, ValueError) as fault:
            return answer or NoAnswer(self._why(fault))
        return answer

    async def _is_short(self, content: aiohttp.StreamReader) -> bool:
        """Reads to the end, as a server expects it, unless that is further than the limit."""
        left = self._answer_max_bytes
        while chunk := await content.read(left + 1):
            left -= len(chunk)
            if left < 0:
                return False
        return True

    def _why(self, fault: Exception) -> str:  # noqa: PLR0911 - one line per kind of fault
        """The texts of the faults themselves hold addresses."""
        match fault:
            case TimeoutError():
                return f"did not answer within {self._timeout_seconds:g} s"
            case aiohttp.ClientConnectorCertificateError():
                return "has a certificate that is not valid for it"
            case aiohttp.ClientSSLError():
                return "does not speak TLS as it should"
            case aiohttp.ClientConnectorError(os_error=NotPermitted() as refusal):
                return str(refusal)
            case aiohttp.ClientConnectorDNSError():
                return "has a name that cannot be resolved"
            case aiohttp.ClientConnectorError(os_error=OSError() as inner):
                return f"cannot be connected to ({type(inner).__name__})"
            case aiohttp.ServerDisconnectedError() | ConnectionError():
                return "closed the connection without an answer"
            case _:
                return f"gave no answer that can be read ({type(fault).__name__})"
