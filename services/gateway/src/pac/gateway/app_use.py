"""Whether an agent app may be deleted: packages knows what of it is under way, and what runs.

It hears of every deployment first, and in one step that it has ended and become the current release: there is no moment
at which it knows of neither. The hub and our own table learn of both a little later.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.gateway.forward import Answer, Upstreams

OK = 200


@dataclass(frozen=True)
class AppUse:
    """`timeout_seconds`: packages waits a little itself, for an end that it has not heard yet."""

    upstreams: Upstreams
    timeout_seconds: float = 5.0

    async def refuse(self, request: web.Request, caller: Caller, app_id: UUID) -> None:
        """Refused: 409 with what uses the app; 503 when nobody can say."""
        path, seconds = f"/internal/apps/{app_id}/use", self.timeout_seconds
        try:
            answer = await self.upstreams.fetch(request, ServiceName.PACKAGES, path, caller, timeout_seconds=seconds)
            used_by = _used_by(answer)
        except (OSError, ValueError, LookupError):
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1) from None
        if used_by:
            raise Refused(ErrorCode.APP_IN_USE, used_by=used_by)


def _used_by(answer: Answer) -> list[dict[str, Any]]:
    """ValueError or LookupError for what is no answer to this question."""
    if answer.status != OK:
        raise ValueError(answer.reason)
    found: list[dict[str, Any]] = json.loads(answer.body)["used_by"]
    return found
