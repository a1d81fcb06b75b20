"""GET /api/deployments/{id}: a poll that must not fail, because the real client gives up at its first error.

Asked are, in this order: deployments; packages, which knows a submission before the hub does; what this gateway
answered last. When all are silent it waits. An answer never goes back behind one that was given before.
"""

import asyncio
import json
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from uuid import UUID

from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.gateway.early import submission_path
from pac.gateway.forward import Answer, Upstreams
from pac.servicekit.requests import request_id_of, stopping_of

OK, NOT_FOUND, THROTTLED, FAULT = 200, 404, 429, 500
HELD_MAX_BYTES = 65_536
SETTLING_SECONDS = 3.0  # as long deployments waits until a moment that is just over cannot change any more
_ORDER = {"queued": 0, "processing": 1, "completed": 2, "failed": 2}


@dataclass(frozen=True)
class Given:
    answer: Answer
    order: int
    at: float


@dataclass
class LastAnswers:
    """What was answered last, per account and deployment; bounded, and may be lost with the process."""

    size: int = 4096
    _given: OrderedDict[tuple[UUID | None, str], Given] = field(default_factory=OrderedDict)

    def get(self, caller: Caller, deployment_id: str) -> Given | None:
        return self._given.get((caller.account_id, deployment_id))

    def keep(self, caller: Caller, deployment_id: str, answer: Answer) -> None:
        if len(answer.body) > HELD_MAX_BYTES:
            return
        key = (caller.account_id, deployment_id)
        self._given[key] = Given(answer, order_of(answer), time.monotonic())
        self._given.move_to_end(key)
        while len(self._given) > self.size:
            self._given.popitem(last=False)


def order_of(answer: Answer) -> int:
    """How far the deployment in this answer has come; -1 if it shows none."""
    try:
        return _ORDER.get(json.loads(answer.body)["deployment"]["status"], -1)
    except (ValueError, KeyError, TypeError):
        return -1


@dataclass(frozen=True)
class Status:
    upstreams: Upstreams
    last: LastAnswers
    timeout_seconds: float = 2.0
    patience_seconds: float = 20.0
    retry_seconds: float = 0.5

    async def answer(self, request: web.Request, caller: Caller) -> web.Response:
        deadline = time.monotonic() + self.patience_seconds
        while True:
            if (found := await self._once(request, caller)) is not None:
                return found
            is_wanted = request.transport is not None and not stopping_of(request).is_set()
            if not is_wanted or time.monotonic() + self.retry_seconds > deadline:
                raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=5)
            await asyncio.sleep(self.retry_seconds)

    async def _once(self, request: web.Request, caller: Caller) -> web.Response | None:
        """None when nobody who could know has answered and nothing is held."""
        as_of = "as_of" in request.query  # a question about the past: only the log of deployments can answer it
        longer = SETTLING_SECONDS if as_of else 0.0
        hub = await self._ask(request, caller, ServiceName.DEPLOYMENTS, request.rel_url.raw_path_qs, longer=longer)
        if hub is not None and (hub.status != NOT_FOUND or as_of):
            if hub.status == OK and not as_of:
                self.last.keep(caller, _id(request), hub)
            return _response(hub)
        if as_of:
            return None
        early = await self._ask(request, caller, ServiceName.PACKAGES, submission_path(request))
        held = self.last.get(caller, _id(request))
        if early is not None and early.status == OK and (held is None or order_of(early) > held.order):
            return _response(early)
        if held is not None:
            # The body the caller may have seen before, under this request's id.
            age = {"Age": str(int(time.monotonic() - held.at)), "X-Request-Id": request_id_of(request)}
            return _response(held.answer, age)
        if hub is None:
            return None  # deployments may know what packages does not (any more)
        return None if early is None else _response(hub)

    async def _ask(
        self, request: web.Request, caller: Caller, to: ServiceName, path: str, *, longer: float = 0.0
    ) -> Answer | None:
        """None for an answer that says nothing about the deployment: away, too slow, broken, throttled."""
        try:
            seconds = self.timeout_seconds + longer
            answer = await self.upstreams.fetch(request, to, path, caller, timeout_seconds=seconds)
        except OSError:
            return None
        return None if answer.status >= FAULT or answer.status == THROTTLED else answer


def _id(request: web.Request) -> str:
    return request.match_info["deployment_id"].lower()


def _response(answer: Answer, more: dict[str, str] | None = None) -> web.Response:
    headers = {**answer.headers, **(more or {})}
    return web.Response(status=answer.status, reason=answer.reason, headers=headers, body=answer.body)
