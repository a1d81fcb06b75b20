"""The server beneath the application: limits of headers, and its own refusals in the form of all errors."""

import asyncio
import uuid

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestHandler

from pac.servicekit.answers import Failure, error_response

logger = structlog.get_logger(__name__)
HEADERS_MAX_BYTES = 65_536  # real session cookies reach 44 kB
REQUEST_LINE_MAX_BYTES = 16_384
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

    async def listen(self, host: str, port: int) -> int:
        """Starts to accept; port 0 takes a free one. Returns the port."""
        site = web.TCPSite(self, host, port, backlog=512)
        await site.start()
        bound: int = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr] # noqa: SLF001 - the same port twice in `addresses` cannot be told apart
        return bound
