"""The HTTP side of the runtime's contract: who may ask, what is read, what is answered."""

import hmac
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import BaseModel, ValidationError

from pac.agentkit.runtime.agent import InvokeFailed
from pac.agentkit.runtime.deployment import Deployment
from pac.agentkit.runtime.fleet import Fleet, NotFound
from pac.agentkit.runtime.output import RING_BYTES
from pac.agentkit.runtime.wire import DeployRequest, InvokeRequest, error_body, health_body

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Model = TypeVar("Model", bound=BaseModel)
OPEN_PATHS = frozenset({"/livez", "/readyz"})


class Answer(Exception):  # noqa: N818 - an answer that ends the handling, not always an error
    """Carries status and body to the middleware."""

    def __init__(self, status: int, body: dict[str, object]) -> None:
        super().__init__(status)
        self.status = status
        self.body = body


class Check(Protocol):
    def __call__(self, request: web.Request) -> None:
        """Answer to whoever may not ask."""


@dataclass(frozen=True)
class Guard:
    """Every path but the two of health asks for the bearer secret."""

    secret: bytes = field(repr=False)

    def __call__(self, request: web.Request) -> None:
        if request.path in OPEN_PATHS:
            return
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Answer(401, error_body("Missing or invalid Authorization header"))
        if not hmac.compare_digest(token.strip().encode("utf-8", "surrogateescape"), self.secret):
            raise Answer(403, error_body("Invalid runtime secret"))


def middleware(check: Check) -> Middleware:
    @web.middleware
    async def answered(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            check(request)
            return await handler(request)
        except Answer as answer:
            return web.json_response(answer.body, status=answer.status)
        except NotFound:
            return web.json_response(error_body("Deployment not found"), status=404)
        except web.HTTPException as fault:
            if fault.status < 400:  # noqa: PLR2004 - no error
                raise
            return web.json_response(error_body(fault.reason), status=fault.status)

    return answered


@dataclass(frozen=True)
class Api:
    """`find`: the deployment that an id in a path means; NotFound."""

    fleet: Fleet
    find: Callable[[str], Deployment]

    async def deploy(self, request: web.Request) -> web.Response:
        key = request.headers.get("Idempotency-Key")
        if not key:
            raise Answer(400, error_body("Idempotency-Key header required"))
        wanted = await _read(request, DeployRequest)
        if key != wanted.deployment_id:
            raise Answer(400, error_body("Idempotency-Key must equal deploymentId"))
        deployment = self.fleet.deploy(wanted)
        return web.json_response({"status": "accepted", "deploymentId": deployment.id}, status=202)

    async def list_deployments(self, _request: web.Request) -> web.Response:
        listed = [{"id": d.id, "agentAppId": d.app, "status": d.status} for d in self.fleet.deployments.values()]
        return web.json_response({"deployments": listed})

    async def health(self, request: web.Request) -> web.Response:
        deployment = self._deployment(request)
        body = health_body(deployment.status, healthy=deployment.healthy, message=deployment.message)
        return web.json_response(body)

    async def invoke(self, request: web.Request) -> web.Response:
        deployment = self._deployment(request)
        wanted = await _read(request, InvokeRequest)
        if deployment.agent is None or not deployment.healthy:
            raise Answer(503, error_body("Deployment is not healthy"))
        seconds = self.fleet.settings.invoke_timeout_seconds
        try:
            response = await deployment.agent.invoke(wanted.action, wanted.context, seconds)
        except InvokeFailed as fault:
            return web.json_response({"success": False, "response": None, "error": str(fault)})
        return web.json_response({"success": True, "response": response, "error": None})

    async def stop(self, request: web.Request) -> web.Response:
        deployment = self._deployment(request)
        self.fleet.stop(deployment, "Stopped on request")
        return web.json_response({"status": deployment.status, "deploymentId": deployment.id}, status=202)

    async def logs(self, request: web.Request) -> web.Response:
        deployment = self._deployment(request)
        text = request.query.get("limit_bytes", str(RING_BYTES))
        if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= RING_BYTES:
            raise Answer(400, error_body(f"limit_bytes must be a number from 1 to {RING_BYTES}"))
        lines, truncated = deployment.output.tail(int(text[:9]))
        shown = [{"at": line.at.isoformat(), "stream": line.stream, "text": line.text} for line in lines]
        return web.json_response({"deploymentId": deployment.id, "lines": shown, "truncated": truncated})

    async def live(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(self, _request: web.Request) -> web.Response:
        isolated = self.fleet.isolation.first_uid is not None
        return web.json_response({"status": "ready", "agents_have_own_users": isolated})

    def _deployment(self, request: web.Request) -> Deployment:
        return self.find(request.match_info["deployment_id"])


async def _read(request: web.Request, model: type[Model]) -> Model:
    """The body as the model; 422 in the contract's shape otherwise. Never repeats what was sent."""
    data = await request.read()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        raise Answer(422, _invalid([{"type": "json_invalid", "loc": ["body"], "msg": "JSON decode error"}])) from None
    try:
        return model.model_validate(document, strict=True)
    except ValidationError as fault:
        errors = fault.errors(include_url=False, include_context=False, include_input=False)
        details: list[dict[str, object]] = [
            {"type": e["type"], "loc": ["body", *e["loc"]], "msg": e["msg"]} for e in errors
        ]
        raise Answer(422, _invalid(details)) from None


def _invalid(details: list[dict[str, object]]) -> dict[str, object]:
    return error_body("Invalid request data", "ValidationError", details=details)
