"""The order in which every request is looked at, before its body: who (401), may they (403), does it exist (404)."""

import re
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.gateway.auth import ANYONE, Authentication, require
from pac.gateway.domain import APP_NOT_FOUND, KEY_NOT_FOUND
from pac.gateway.queries import Queries
from pac.gateway.routes import Access
from pac.servicekit.http import set_caller

UNKNOWN = {
    "app_id": APP_NOT_FOUND,
    "account_id": "Account not found",
    "deployment_id": "Deployment not found",
    "key_id": KEY_NOT_FOUND,
    "package_id": "Package not found",
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NO_ID = UUID(int=0)


@dataclass(frozen=True)
class Gate:
    authentication: Authentication
    queries: Queries

    async def admit(self, request: web.Request, access: Access, *, patience_seconds: float = 0.0) -> Caller:
        """The caller, with the path's app as a claim; kept with the request, for what is recorded of it."""
        caller = ANYONE
        if not access.public:
            caller = await self.authentication.caller(request, patience_seconds=patience_seconds)
            require(caller, scope=access.scope, operator=access.operator)
        ids = {name: _id(text) for name, text in request.match_info.items()}
        if access.app:
            caller = await self._with_app(caller, ids.pop("app_id"))
        if access.account and not await self.queries.account_exists(ids.pop("account_id") or _NO_ID):
            raise Refused(ErrorCode.NOT_FOUND, UNKNOWN["account_id"])
        for name, found in ids.items():
            if found is None:  # so a path that goes on to a service is made of literals and ids, nothing else
                raise Refused(ErrorCode.NOT_FOUND, UNKNOWN[name])
        set_caller(request, caller)
        return caller

    async def _with_app(self, caller: Caller, app_id: UUID | None) -> Caller:
        # A malformed id is asked for as well: unknown, foreign and malformed take the same way and the same time.
        claim = caller.account_id and await self.queries.app_claim(app_id or _NO_ID, caller.account_id)
        if not claim:
            raise Refused(ErrorCode.NOT_FOUND, APP_NOT_FOUND)
        return caller.model_copy(update={"app": claim})


def _id(text: str) -> UUID | None:
    return UUID(text) if _UUID.fullmatch(text) else None
