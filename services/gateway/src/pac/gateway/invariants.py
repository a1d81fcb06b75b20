"""The live laws of all services in one answer; what cannot be reached is named and left out, never guessed."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.gateway.forward import Upstreams
from pac.servicekit.invariants import PATH, Invariants, Judged

ASKED = (ServiceName.PACKAGES, ServiceName.DEPLOYMENTS, ServiceName.BILLING, ServiceName.RUNTIME_NOTIFIER)
ANSWER_SECONDS = 6.0  # longer than a service takes to look at all of its laws
OK = 200


@dataclass(frozen=True)
class LiveLaws:
    own: Invariants
    upstreams: Upstreams

    async def judged(self, request: web.Request, operator: Caller) -> dict[str, Any]:
        """`holds` speaks of the laws that are shown; `unreachable` names services, or laws as `service.law`."""
        answers = await asyncio.gather(self.own.look(), *(self._ask(request, operator, one) for one in ASKED))
        laws: list[dict[str, Any]] = []
        unreachable: list[str] = []
        for service, judged in zip((ServiceName.GATEWAY, *ASKED), answers, strict=True):
            if judged is None:
                unreachable.append(service.value)
                continue
            laws += [{"service": service.value, **law} for law in judged.laws]
            unreachable += [f"{service.value}.{name}" for name in judged.unchecked]
        return {"holds": all(law["holds"] for law in laws), "laws": laws, "unreachable": unreachable}

    async def _ask(self, request: web.Request, operator: Caller, service: ServiceName) -> Judged | None:
        try:
            answer = await self.upstreams.fetch(request, service, PATH, operator, timeout_seconds=ANSWER_SECONDS)
        except OSError:
            return None
        if answer.status != OK:
            return None
        try:
            body: dict[str, Sequence[Any]] = json.loads(answer.body)
            return Judged(body["laws"], body["unchecked"])
        except (ValueError, KeyError, TypeError):
            return None  # somebody else listens there, or another release
