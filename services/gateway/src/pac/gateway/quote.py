"""What billing says of a deploy: before its package comes, and in the answer to a dry run."""

import json
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.contracts.uploads import FORM_BYTES_MAX
from pac.gateway.forward import Upstreams, whole
from pac.servicekit.answers import reply
from pac.servicekit.idempotency import HEADER

OK = 200
WORTH_A_LOOK_BYTES = 8 * 1_048_576  # below it the whole answer comes as soon, and there is a deployment to look at
QUOTED = ("cost", "available", "balance_after", "sufficient")


@dataclass(frozen=True)
class Quote:
    upstreams: Upstreams
    timeout_seconds: float = 2.0
    look_seconds: float = 0.5

    async def look(self, request: web.Request, caller: Caller) -> None:
        """Refused, before the first byte of a large body, when billing says just now that it cannot be paid for.

        It is for the least that a body of this length can cost; `required` is what it costs if next to nothing stands
        around the file, as in every form that a client makes. Whatever billing does not say in time, it says when it
        reserves. A request with an Idempotency-Key may be one that was paid for long ago.
        """
        length = request.content_length
        if length is None or length < WORTH_A_LOOK_BYTES or HEADER in request.headers:
            return
        quoted = await self._asked(request, caller, length - FORM_BYTES_MAX, self.look_seconds)
        if quoted is None or not quoted.get("short"):
            return
        likely = await self._asked(request, caller, length, self.look_seconds) or quoted
        raise Refused(ErrorCode.INSUFFICIENT_CREDITS, required=likely["cost"], available=quoted["available"])

    async def compose(
        self, request: web.Request, caller: Caller, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse | None:
        """A dry run: packages has said whether it would be accepted, billing says what it would cost.

        None for an answer that is to be passed on as it is. Without billing its part is left out, never guessed.
        """
        if answer.status != OK:
            return None
        try:
            checked: dict[str, Any] = json.loads(await whole(answer))
        except aiohttp.ClientError:
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1) from None
        quoted = await self._asked(request, caller, int(checked["package"]["size_bytes"]), self.timeout_seconds) or {}
        return reply({**checked, **{name: quoted[name] for name in QUOTED if name in quoted}})

    async def _asked(
        self, request: web.Request, caller: Caller, size_bytes: int, seconds: float
    ) -> dict[str, Any] | None:
        path = f"/internal/quote?size_bytes={size_bytes}"
        try:
            answer = await self.upstreams.fetch(request, ServiceName.BILLING, path, caller, timeout_seconds=seconds)
        except OSError:
            return None
        quoted: dict[str, Any] | None = json.loads(answer.body) if answer.status == OK else None
        return quoted
