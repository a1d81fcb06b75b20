"""The server beneath the application: limits of headers, its own refusals in the form of all errors, and its end."""

import asyncio
import os
import socket
import uuid
from collections.abc import Iterator

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from pac.servicekit.answers import Failure, error_response

logger = structlog.get_logger(__name__)
HEADERS_MAX_BYTES = 65_536  # real session cookies reach 44 kB
REQUEST_LINE_MAX_BYTES = 16_384
LOOK_AGAIN_SECONDS = 0.02
_HEADERS_TOO_LARGE = 431


class _Protocol(RequestHandler):
    """Answers what never became a request. aiohttp's own answer quotes the bytes, which may be a cookie."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - quotes the input
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("an answer was begun already")
        if isinstance(exc, LineTooLong):
            status = _HEADERS_TOO_LARGE
        elif isinstance(exc, HttpProcessingError):
            status = exc.code
        request_id = str(uuid.uuid4())
        logger.info("request_unreadable", request_id=request_id, status=status, error=type(exc).__name__)
        return error_response(Failure.of_status(status, close=True), request_id=request_id)


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Listener(web.AppRunner):
    """Serves one application, on as many addresses as wanted."""

    def __init__(self, app: web.Application, *, drain_seconds: float) -> None:
        super().__init__(
            app,
            handle_signals=False,
            access_log=None,
            keepalive_timeout=75.0,
            max_line_size=REQUEST_LINE_MAX_BYTES,
            max_field_size=HEADERS_MAX_BYTES,
            shutdown_timeout=drain_seconds,
        )

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **made._kwargs,  # noqa: SLF001 - aiohttp offers no way to name the protocol's class
        )

    async def listen(self, host: str, port: int, *, reuse_port: bool = False) -> int:
        """Starts to accept; port 0 takes a free one. Returns the port.

        With `reuse_port` other processes of the same user may listen there as well, if they ask for it too: the system
        spreads new connections over them. Without it a taken port is an OSError.
        """
        site = web.TCPSite(self, host, port, backlog=512, reuse_port=reuse_port or None)
        await site.start()
        bound: int = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr] # noqa: SLF001 - the same port twice in `addresses` cannot be told apart
        return bound

    async def drain(self, *, idle_seconds: float, seconds: float) -> None:
        """Takes no new connections, and goes on answering those it has; returns when none is left, or time is up.

        A connection on which nothing is asked is kept for `idle_seconds`: its client may be about to ask. The
        application makes every answer the last one of its connection meanwhile (`Connection: close`).
        """
        await self._accept_no_more()
        if (server := self.server) is None:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        while server.connections and loop.time() - began < seconds:
            if loop.time() - began >= idle_seconds:
                for connection in server.connections:
                    if connection._waiter is not None and not connection._messages:  # noqa: SLF001 - nobody else knows
                        connection.force_close()
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _accept_no_more(self) -> None:
        """Closing a listening socket resets the connections that wait in its queue: they are taken out before.

        The system hands those of other processes on the same port to them from then on.
        """
        listening = [socket.socket(fileno=os.dup(one.fileno())) for site in self.sites for one in _sockets_of(site)]
        for site in list(self.sites):
            await site.stop()  # closes the server's own descriptor; ours keeps the queue alive
        waiting = [connection for one in listening for connection in _last_of(one)]
        loop, server = asyncio.get_running_loop(), self.server
        for connection in waiting:
            connection.setblocking(False)  # noqa: FBT003 - the library's signature
            assert server is not None
            await loop.connect_accepted_socket(server, connection)


def _sockets_of(site: web.BaseSite) -> list[socket.socket]:
    return list(getattr(site._server, "sockets", ()))  # noqa: SLF001 - the site has no word for it


def _last_of(listening: socket.socket) -> Iterator[socket.socket]:
    """What has connected and was not accepted yet; nothing may come between the last one and the close."""
    listening.setblocking(False)  # noqa: FBT003 - the library's signature
    with listening:
        while True:
            try:
                yield listening.accept()[0]
            except OSError:
                return
