"""Hands a request on to the service that serves it, and its answer back. Bodies stream; none is ever held."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Self

import aiohttp
import structlog
from aiohttp import hdrs, web
from yarl import URL

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.eventlog.tracing import SpanKind, Traced, traced
from pac.gateway.headers import to_client, to_service, to_service_for_itself
from pac.gateway.instances import Instances
from pac.servicekit.identity import IdentitySigner
from pac.servicekit.requests import let_body_come, request_id_of, stopping_of, traceparent_of

logger = structlog.get_logger(__name__)
WATCH_SECONDS = 0.25  # how soon the end of a client that has sent everything is noticed
ANSWER_MAX_BYTES = 1_048_576
EVENT_STREAM = "text/event-stream"
_AWAY = (aiohttp.ClientError, OSError)  # TimeoutError is an OSError
_NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_REPEATABLE = frozenset({hdrs.METH_GET, hdrs.METH_HEAD})
Instead = Callable[[web.Request, Caller, aiohttp.ClientResponse], Awaitable[web.StreamResponse | None]]


class ClientGone(Exception):  # noqa: N818 - nobody is left to be told
    """The client has closed its connection."""


@dataclass(frozen=True)
class Limits:
    connections: int = 1000
    connect_timeout_seconds: float = 2.0
    pool_timeout_seconds: float = 5.0  # waiting for a free connection, and connecting
    answer_timeout_seconds: float = 55.0  # from the body's end to the answer; a deploy waits 10 s, the client 60 s
    total_timeout_seconds: float = 7200.0  # a slow upload is ended by the service's minimum rate, long before


@dataclass(frozen=True)
class Answer:
    """A small answer, read whole. `headers` are those that may reach the client."""

    status: int
    reason: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Upstreams:
    """The connections to the services; open while used as a context."""

    instances: Mapping[ServiceName, Instances]
    signer: IdentitySigner
    limits: Limits = Limits()
    _session: aiohttp.ClientSession | None = field(default=None, init=False)
    _fresh: aiohttp.ClientSession | None = field(default=None, init=False)
    _streams: aiohttp.ClientSession | None = field(default=None, init=False)

    async def __aenter__(self) -> Self:
        limit = self.limits.connections
        self._session = self._opened(aiohttp.TCPConnector(limit=limit, keepalive_timeout=15.0))
        # What must not be asked twice gets a connection of its own: a kept one may be at its end just now, and then
        # nobody could say what became of the question.
        self._fresh = self._opened(aiohttp.TCPConnector(limit=limit, force_close=True))
        # Streams of events are long, and bounded by the service: they must not take the places of everybody else.
        self._streams = self._opened(aiohttp.TCPConnector(limit=0, force_close=True))
        return self

    def _opened(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=(hdrs.ACCEPT, hdrs.ACCEPT_ENCODING, hdrs.CONTENT_TYPE, hdrs.USER_AGENT),
            timeout=aiohttp.ClientTimeout(
                total=self.limits.total_timeout_seconds,
                connect=self.limits.pool_timeout_seconds,
                sock_connect=self.limits.connect_timeout_seconds,
                sock_read=self.limits.answer_timeout_seconds,
            ),
        )

    async def __aexit__(self, *_: object) -> None:
        for session in (self._session, self._fresh, self._streams):
            if session is not None:
                await session.close()
        self._session = self._fresh = self._streams = None

    async def forward(
        self, request: web.Request, to: ServiceName, caller: Caller, *, instead: Instead | None = None
    ) -> web.StreamResponse:
        """503 with Retry-After if no process of the service is there; whatever one answers otherwise, early or late.

        Another one is asked as long as nothing can have happened yet: not connected, a question that may be repeated,
        or a body of which nothing was sent. `instead` may put another one in the place of what came.
        """
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise Refused(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Send the body without Content-Encoding")
        upload = _Upload(request)
        for url in self.instances[to].in_turn():
            try:
                answer = await _unless_gone(request, self._ask(request, to, caller, url, upload))
            except ClientGone:
                return _nobody()
            except _AWAY as fault:
                if upload.broken:
                    return _nobody()
                logger.warning("upstream_away", service=to.value, url=url, fault=type(fault).__name__)
                if isinstance(fault, _NOT_CONNECTED):
                    self.instances[to].was_away(url)
                elif isinstance(fault, TimeoutError) or not upload.may_be_repeated:
                    break
            else:
                async with answer:
                    other = await instead(request, caller, answer) if instead is not None else None
                    return other if other is not None else await _relay(request, answer)
        raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1)

    async def _ask(
        self, request: web.Request, to: ServiceName, caller: Caller, url: str, upload: "_Upload"
    ) -> aiohttp.ClientResponse:
        path = request.rel_url.raw_path_qs
        session = self._session if request.method in _REPEATABLE else self._fresh
        if EVENT_STREAM in request.headers.get(hdrs.ACCEPT, ""):
            session = self._streams
        assert session is not None, "used outside of its context"
        with _asking(request, to) as here:
            return await session.request(
                request.method,
                _at(url, path),
                headers=to_service(
                    request.headers,
                    identity=self._identity(request, to, caller, request.method, path),
                    request_id=request_id_of(request),
                    traceparent=here.traceparent,
                ),
                data=upload.chunks() if request.can_read_body else None,
                expect100=_expects(request) and request.can_read_body,
                allow_redirects=False,
            )

    async def fetch(
        self,
        request: web.Request,
        to: ServiceName,
        path: str,
        caller: Caller,
        *,
        timeout_seconds: float,
        max_bytes: int = ANSWER_MAX_BYTES,
    ) -> Answer:
        """A GET whose small answer is wanted whole. OSError when the service gives none in time."""
        request_id = request_id_of(request)
        identity = self._identity(request, to, caller, hdrs.METH_GET, path)
        instances, fault, url = self.instances[to], "", ""
        try:
            async with asyncio.timeout(timeout_seconds):
                for url in instances.in_turn():
                    try:
                        with _asking(request, to) as here:
                            headers = to_service_for_itself(
                                request.headers, identity=identity, request_id=request_id, traceparent=here.traceparent
                            )
                            return await self._read(_at(url, path), headers, request_id, max_bytes)
                    except aiohttp.ClientError as away:
                        instances.was_away(url)
                        fault = type(away).__name__
        except TimeoutError:
            instances.was_away(url)  # or hangs: the next question goes to another one first
            raise
        raise ConnectionError(f"{to.value} is away ({fault})")

    async def _read(self, url: URL, headers: Mapping[str, str], request_id: str, max_bytes: int) -> Answer:
        assert self._session is not None, "used outside of its context"
        async with self._session.get(url, headers=headers, allow_redirects=False) as answer:
            shown = to_client(answer.headers, request_id=request_id)
            return Answer(answer.status, answer.reason or "", shown, await whole(answer, max_bytes))

    def _identity(self, request: web.Request, to: ServiceName, caller: Caller, method: str, path: str) -> str:
        request_id = request_id_of(request)
        return self.signer.sign(caller, audience=to, method=method, path=path, request_id=request_id)


@dataclass
class _Upload:
    """The client's body, pulled by the service's connection: as fast as the service reads, no faster."""

    request: web.Request
    begun: bool = False
    broken: bool = False

    @property
    def may_be_repeated(self) -> bool:
        """Nothing of it was sent; without a body, only a question may be repeated."""
        return not self.begun and (self.request.method in _REPEATABLE or self.request.can_read_body)

    async def chunks(self) -> AsyncIterator[bytes]:
        await let_body_come(self.request)
        try:
            async for chunk in self.request.content.iter_any():
                self.begun = True
                yield chunk
        except (OSError, aiohttp.ClientError, web.RequestPayloadError):
            self.broken = True
            raise


async def whole(answer: aiohttp.ClientResponse, max_bytes: int = ANSWER_MAX_BYTES) -> bytes:
    """The body of an answer that is small."""
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            raise ConnectionAbortedError("a service answered more than expected")
    return bytes(body)


def _asking(request: web.Request, to: ServiceName) -> AbstractContextManager[Traced]:
    """The span of one question to a service, until the head of its answer."""
    return traced(f"ask {to.value}", traceparent_of(request), kind=SpanKind.CLIENT, request_id=request_id_of(request))


def _at(url: str, path: str) -> URL:
    return URL(url + path, encoded=True)  # percent-encoding goes on as it came


async def _relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    headers = to_client(answer.headers, request_id=request_id_of(request))
    response = web.StreamResponse(status=answer.status, reason=answer.reason, headers=headers)
    if (length := answer.headers.get(hdrs.CONTENT_LENGTH)) is not None:
        response.content_length = int(length)
    read = _watched if answer.content_type == EVENT_STREAM else _as_it_comes
    try:
        await response.prepare(request)
        while chunk := await read(request, answer):
            await response.write(chunk)
        await response.write_eof()
    except ClientGone:
        pass  # leaving the answer's context ends the connection to the service, and so its work
    except _AWAY as fault:
        # Too late for another answer: an end without an end tells the client that something is missing.
        if request.transport is not None and not _is_gone(request):
            logger.warning("answer_cut_off", fault=type(fault).__name__)
            request.transport.abort()
    return response


async def _as_it_comes(_: web.Request, answer: aiohttp.ClientResponse) -> bytes:
    return await answer.content.readany()


async def _watched(request: web.Request, answer: aiohttp.ClientResponse) -> bytes:
    """Of a stream that may be silent for long: its client may leave meanwhile, and this process may have to end.

    Then it ends here, as if the service had ended it: between two pieces, and the client takes it up again elsewhere.
    """
    task, stopping = asyncio.ensure_future(answer.content.readany()), stopping_of(request)
    try:
        while not task.done() and not stopping.is_set():
            if _is_gone(request):
                raise ClientGone
            await asyncio.wait({task}, timeout=WATCH_SECONDS)
        return task.result() if task.done() else b""
    finally:
        task.cancel()


async def _unless_gone(request: web.Request, asked: Awaitable[aiohttp.ClientResponse]) -> aiohttp.ClientResponse:
    """The service's answer; the question is withdrawn when the client closes its connection before."""
    task = asyncio.ensure_future(asked)
    try:
        while not task.done() and not _is_gone(request):
            await asyncio.wait({task}, timeout=WATCH_SECONDS)
    except asyncio.CancelledError:
        await _withdraw(task)
        raise
    if task.done():
        return task.result()
    await _withdraw(task)
    raise ClientGone


async def _withdraw(task: asyncio.Future[aiohttp.ClientResponse]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, *_AWAY):
        (await task).close()


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _expects(request: web.Request) -> bool:
    return request.headers.get(hdrs.EXPECT, "").lower() == "100-continue"


def _nobody() -> web.Response:
    """For the access log and the metrics; nobody receives it."""
    return web.Response(status=499, reason="Client closed the request")
