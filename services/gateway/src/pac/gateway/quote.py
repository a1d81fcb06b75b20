"""A dry run of a deploy: packages says whether it would be accepted, billing what it would cost; one answer of both."""

import json
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.gateway.forward import Upstreams, whole
from pac.servicekit.answers import reply

OK = 200
QUOTED = ("cost", "available", "balance_after", "sufficient")


@dataclass(frozen=True)
class Quote:
    upstreams: Upstreams
    timeout_seconds: float = 2.0

    async def compose(
        self, request: web.Request, caller: Caller, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse | None:
        """None for an answer that is to be passed on as it is. Without billing its part is left out, never guessed."""
        if answer.status != OK:
            return None
        try:
            checked: dict[str, Any] = json.loads(await whole(answer))
        except aiohttp.ClientError:
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1) from None
        return reply({**checked, **await self._quoted(request, caller, int(checked["package"]["size_bytes"]))})

    async def _quoted(self, request: web.Request, caller: Caller, size_bytes: int) -> dict[str, Any]:
        path, seconds = f"/internal/quote?size_bytes={size_bytes}", self.timeout_seconds
        try:
            answer = await self.upstreams.fetch(request, ServiceName.BILLING, path, caller, timeout_seconds=seconds)
        except OSError:
            return {}
        if answer.status != OK:
            return {}
        quoted = json.loads(answer.body)
        return {name: quoted[name] for name in QUOTED}
