"""A deployment that a service does not know yet: packages took it in, and the others hear of it in a moment."""

from dataclasses import dataclass

import aiohttp
from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.gateway.forward import Instead, Upstreams

OK, NOT_FOUND = 200, 404


def submission_path(request: web.Request) -> str:
    return f"/internal/submissions/{request.match_info['deployment_id'].lower()}"


@dataclass(frozen=True)
class Early:
    upstreams: Upstreams
    timeout_seconds: float = 2.0

    def refuse(self, code: ErrorCode) -> Instead:
        """Of a service's 404. Refused: `code` for what packages knows, 503 when nobody can say; else it stays a 404."""

        async def look(request: web.Request, caller: Caller, answer: aiohttp.ClientResponse) -> None:
            if answer.status == NOT_FOUND:
                await self._ask(request, caller, code)

        return look

    async def _ask(self, request: web.Request, caller: Caller, code: ErrorCode) -> None:
        path, seconds = submission_path(request), self.timeout_seconds
        try:
            answer = await self.upstreams.fetch(request, ServiceName.PACKAGES, path, caller, timeout_seconds=seconds)
        except OSError:
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1) from None
        if answer.status == OK:
            raise Refused(code, retry_after_seconds=1)
        if answer.status != NOT_FOUND:
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1)
