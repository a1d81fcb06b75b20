"""The HTTP application of a service: request ids, identity, errors in one place, one log line and figure a request."""

import asyncio
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import IDENTITY_HEADER, REQUEST_ID_HEADER, Caller
from pac.eventlog.tracing import SpanKind, traced
from pac.servicekit.answers import Failure, error_response, reply
from pac.servicekit.idempotency import Idempotency, Replayed
from pac.servicekit.identity import IdentityVerifier, NotIdentified
from pac.servicekit.metrics import Metrics
from pac.servicekit.requests import (
    ANSWER_HEADERS,
    BODY_LIMITS,
    CALLER,
    REQUEST_ID,
    STOPPING,
    TRACEPARENT,
    Page,
    account_and_app,
    body_bytes,
    body_in,
    caller_of,
    cause_of,
    cursor_of,
    flag_in,
    let_body_come,
    nothing_in,
    page_in,
    request_id_of,
    stopping_of,
    traceparent_in,
    uuid_in,
)

__all__ = [
    "Handler",
    "Page",
    "Route",
    "account_and_app",
    "body_bytes",
    "body_in",
    "build_http",
    "caller_of",
    "cause_of",
    "cursor_of",
    "flag_in",
    "let_body_come",
    "nothing_in",
    "page_in",
    "reply",
    "request_id_of",
    "respond",
    "set_caller",
    "stopping_of",
    "uuid_in",
]

logger = structlog.get_logger(__name__)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PREPARED = web.RequestKey("prepared", bool)
CLIENT_GONE: Final = 499  # never sent; what the log and the figures say of a caller who left
SERVER_ERROR: Final = 500
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._\-]{8,64}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(frozen=True)
class Route:
    """`public`: no identity needed. `internal`: the gateway asks for itself, never on behalf of a public path.

    `lazy_body`: the handler itself calls `let_body_come` when it has decided to read (uploads).
    """

    method: str
    path: str
    handler: Handler
    public: bool = False
    internal: bool = False
    lazy_body: bool = False


def set_caller(request: web.Request, caller: Caller) -> None:
    """For the gateway, which finds out itself who calls."""
    request[CALLER] = caller


def _route_of(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unmatched"


def _gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


def _observing(metrics: Metrics) -> Middleware:
    @web.middleware
    async def observe(request: web.Request, handler: Handler) -> web.StreamResponse:
        came = request.headers.get(REQUEST_ID_HEADER, "")
        request[REQUEST_ID] = came if _REQUEST_ID_FORM.fullmatch(came) else str(uuid.uuid4())
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request[REQUEST_ID])
        route = _route_of(request)
        method = request.method if request.method in _METHODS else "OTHER"
        if deployment_id := request.match_info.get("deployment_id"):
            structlog.contextvars.bind_contextvars(deployment_id=deployment_id)
        began, status = time.perf_counter(), CLIENT_GONE
        told = {"http_route": route, "request_id": request[REQUEST_ID]}
        with traced(f"{method} {route}", traceparent_in(request), kind=SpanKind.SERVER, **told) as here:
            if here.traceparent is not None:
                request[TRACEPARENT] = here.traceparent
                structlog.contextvars.bind_contextvars(traceparent=here.traceparent)
            try:
                response = await handler(request)
                status = response.status if not _gone(request) else CLIENT_GONE
            finally:
                seconds = time.perf_counter() - began
                here.span.set_attribute("http.response.status_code", status)
                metrics.http_seconds.labels(route, method, str(status)).observe(seconds)
                line = logger.debug if route == "unmatched" else logger.info
                line("request_answered", method=method, route=route, status=status, seconds=round(seconds, 4))
        return response

    return observe


async def _failure_of(request: web.Request, handler: Handler) -> web.StreamResponse | Failure:
    try:
        return await handler(request)
    except Replayed:
        raise
    except Refused as refused:
        return Failure.of(refused)
    except web.HTTPException as answer:
        if answer.status < web.HTTPBadRequest.status_code:
            raise
        allow = {"Allow": answer.headers[hdrs.ALLOW]} if hdrs.ALLOW in answer.headers else {}
        return Failure.of_status(answer.status, allow)
    except OSError as away:
        if _gone(request):
            raise ConnectionResetError("the caller has left") from away
        logger.warning("request_found_something_away", error=type(away).__name__)
        return Failure.plain(ErrorCode.UNAVAILABLE, retry_after_seconds=1)
    except asyncio.CancelledError:
        raise
    except Exception:
        logger.exception("request_failed", method=request.method, route=_route_of(request))
        return Failure.plain(ErrorCode.INTERNAL)


async def respond(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The handler's answer, or the one that its refusal or fault becomes."""
    outcome = await _failure_of(request, handler)
    if isinstance(outcome, web.StreamResponse):
        return outcome
    if request.get(PREPARED):
        # The answer's head is out already (a stream): all that is left to say is that it is not complete.
        if request.transport is not None:
            request.transport.close()
        raise ConnectionResetError("failed in the middle of an answer")
    return error_response(
        outcome,
        request_id=request[REQUEST_ID],
        accept=request.headers.get(hdrs.ACCEPT, ""),
        path=request.rel_url.raw_path,
    )


@web.middleware
async def _answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    return await respond(request, handler)


def _guarded(route: Route, verifier: IdentityVerifier | None, idempotency: Idempotency | None) -> Handler:
    """The route's handler behind the check of who calls; nothing of the body is read before it."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        token = request.headers.get(IDENTITY_HEADER)
        if token is not None and verifier is not None:
            try:
                caller = verifier.verify(
                    token, method=request.method, path=request.rel_url.raw_path_qs, request_id=request[REQUEST_ID]
                )
            except NotIdentified as reason:
                logger.warning("identity_refused", reason=str(reason))
                raise Refused(ErrorCode.UNAUTHENTICATED) from None
            set_caller(request, caller)
        elif not route.public:
            raise Refused(ErrorCode.UNAUTHENTICATED)
        if not route.lazy_body:
            await let_body_come(request)
        known: Caller | None = request.get(CALLER)
        if idempotency is None or known is None:
            return await route.handler(request)
        return await idempotency.around(
            request, known, lambda one: respond(one, route.handler), lazy_body=route.lazy_body
        )

    return guarded


async def _no_early_continue(request: web.Request) -> None:
    """The body is asked for after the caller is known, not at the headers."""


async def _finish_headers(request: web.Request, response: web.StreamResponse) -> None:
    request[PREPARED] = True
    response.headers.setdefault(REQUEST_ID_HEADER, request.get(REQUEST_ID, ""))
    response.headers["Server"] = "pac"
    for name, value in request.get(ANSWER_HEADERS, {}).items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    if request.app[STOPPING].is_set():  # the next request of this connection would find nobody
        response.force_close()
        response.headers[hdrs.CONNECTION] = "close"


def build_http(
    routes: Sequence[Route],
    *,
    verifier: IdentityVerifier | None,
    metrics: Metrics,
    stopping: asyncio.Event,
    middlewares: Sequence[Middleware] = (),
    idempotency: Idempotency | None = None,
    body_max_size_bytes: int = 1_048_576,
    body_timeout_seconds: float = 30.0,
) -> web.Application:
    """The application. `middlewares` of the service stand inside errors and outside identity."""
    app = web.Application(
        middlewares=[_observing(metrics), _answer_errors, *middlewares],
        client_max_size=body_max_size_bytes,
    )
    app[BODY_LIMITS] = (body_max_size_bytes, body_timeout_seconds)
    app[STOPPING] = stopping
    app.on_response_prepare.append(_finish_headers)
    for route in routes:
        handler = _guarded(route, verifier, idempotency)
        app.router.add_route(route.method, route.path, handler, expect_handler=_no_early_continue)
        if route.method == hdrs.METH_GET:
            app.router.add_route(hdrs.METH_HEAD, route.path, handler, expect_handler=_no_early_continue)
    return app
