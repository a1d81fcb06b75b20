"""The order in which every request is looked at, before its body: who (401), may they (403), does it exist (404)."""

import re
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.gateway.auth import Authentication
from pac.gateway.domain import ACCOUNT_NOT_FOUND, APP_NOT_FOUND, KEY_NOT_FOUND
from pac.gateway.queries import Queries
from pac.gateway.routes import Access
from pac.gateway.who import ANYONE, Who, require, require_operator
from pac.servicekit.http import set_caller

UNKNOWN = {
    "app_id": APP_NOT_FOUND,
    "account_id": ACCOUNT_NOT_FOUND,
    "deployment_id": "Deployment not found",
    "key_id": KEY_NOT_FOUND,
    "package_id": "Package not found",
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_NO_ID = UUID(int=0)
Ids = dict[str, UUID | None]


@dataclass(frozen=True)
class Gate:
    authentication: Authentication
    queries: Queries

    async def admit(self, request: web.Request, access: Access, *, patience_seconds: float = 0.0) -> Caller:
        """The caller, with the path's app as a claim; kept with the request, for what is recorded of it."""
        ids = {name: _id(text) for name, text in request.match_info.items()}
        caller = ANYONE
        if not access.public:
            who = await self.authentication.who(request, patience_seconds=patience_seconds)
            caller = await self._operator(who, access, ids) if access.operator else await self._caller(who, access, ids)
        for name, found in ids.items():
            if found is None:  # so a path that goes on to a service is made of literals and ids, nothing else
                raise Refused(ErrorCode.NOT_FOUND, UNKNOWN[name])
        set_caller(request, caller)
        return caller

    async def _operator(self, who: Who, access: Access, ids: Ids) -> Caller:
        require_operator(who)
        if access.account and not await self.queries.account_exists(ids.pop("account_id") or _NO_ID):
            raise Refused(ErrorCode.NOT_FOUND, ACCOUNT_NOT_FOUND)
        return Caller(actor=who.actor, operator=True)

    async def _caller(self, who: Who, access: Access, ids: Ids) -> Caller:
        account, app = who.accounts[:1], None
        require(account, access.scope)
        if access.app:
            # A malformed id is asked for as well: unknown, foreign and malformed take the same way and the same time.
            claim = await self.queries.app_claim(ids.pop("app_id") or _NO_ID, [one.account_id for one in account])
            if claim is None:
                raise Refused(ErrorCode.NOT_FOUND, APP_NOT_FOUND)
            app = claim[1]
        meant = account[0]
        return Caller(actor=who.actor, account_id=meant.account_id, scopes=meant.scopes, app=app)


def _id(text: str) -> UUID | None:
    return UUID(text) if _UUID.fullmatch(text) else None
