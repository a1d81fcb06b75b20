"""Whether an agent app may be deleted: what of it runs we know ourselves, what of it is under way packages knows.

packages hears of every deployment first and of its end, so it knows the one that was accepted a moment ago, too.
"""

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.topics import ServiceName
from pac.gateway.forward import Upstreams
from pac.gateway.queries import Queries

OK = 200


@dataclass(frozen=True)
class AppUse:
    """`timeout_seconds`: packages waits a little itself, for an end that it has not heard yet."""

    queries: Queries
    upstreams: Upstreams
    timeout_seconds: float = 5.0

    async def refuse(self, request: web.Request, caller: Caller, app_id: UUID, account_id: UUID) -> None:
        """Refused: 409 with what uses the app; 503 when nobody can say. An unknown app is not in use."""
        row = await self.queries.app(app_id, account_id)
        if row is None:
            return
        used_by: list[dict[str, Any]] = [{"deployment_id": one} for one in await self._open(request, caller, app_id)]
        if row.current_deployment_id is not None:
            used_by.append({"deployment_id": str(row.current_deployment_id), "current_release": True})
        if used_by:
            raise Refused(ErrorCode.APP_IN_USE, used_by=used_by)

    async def _open(self, request: web.Request, caller: Caller, app_id: UUID) -> list[str]:
        path, seconds = f"/internal/apps/{app_id}/open-deployments", self.timeout_seconds
        try:
            answer = await self.upstreams.fetch(request, ServiceName.PACKAGES, path, caller, timeout_seconds=seconds)
            if answer.status != OK:
                raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1)
            found: list[str] = json.loads(answer.body)["deployment_ids"]
        except (OSError, ValueError, LookupError):
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1) from None
        return found
