"""The order in which every request is looked at, before its body: who (401), may they (403), does it exist (404).

Who may act for several accounts means one of them with each request: the one that `PAC-Account` names, the one of the
path's app, account or deployment, else their first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from aiohttp import web

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import AppClaim, Caller
from pac.gateway.auth import SAFE_METHODS, Authentication
from pac.gateway.domain import ACCOUNT_NOT_FOUND, APP_NOT_FOUND, KEY_NOT_FOUND, MEMBER_NOT_FOUND
from pac.gateway.limits import CallLimits
from pac.gateway.owners import Owners
from pac.gateway.queries import Queries
from pac.gateway.routes import NAMES, Access
from pac.gateway.who import ANYONE, Membership, Who, require, require_operator
from pac.servicekit.http import set_caller

UNKNOWN = {
    "app_id": APP_NOT_FOUND,
    "account_id": ACCOUNT_NOT_FOUND,
    "deployment_id": "Deployment not found",
    "hook_id": "Webhook not found",
    "key_id": KEY_NOT_FOUND,
    "package_id": "Package not found",
    "secret_name": "No secret can have this name: they are made of A-Z, 0-9 and _",
    "user_id": MEMBER_NOT_FOUND,
}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
ACCOUNT_HEADER = "PAC-Account"
_NO_ID = UUID(int=0)
Ids = dict[str, UUID | None]


@dataclass(frozen=True)
class Gate:
    authentication: Authentication
    queries: Queries
    owners: Owners
    limits: CallLimits

    async def admit(self, request: web.Request, access: Access, *, patience_seconds: float = 0.0) -> Caller:
        """The caller, with the path's app as a claim; kept with the request, for what is recorded of it."""
        ids = {name: _id(text) for name, text in request.match_info.items() if name not in NAMES}
        caller = ANYONE
        if not access.public:
            who = await self._who(request, patience_seconds)
            if access.operator:
                caller = await self._operator(who, access, ids)
            else:
                caller = await self._caller(request, who, access, ids, patience_seconds)
        # So a path that goes on to a service is made of literals, ids and names, nothing else.
        if unknown := [*(name for name, found in ids.items() if found is None), *_misnamed(request)]:
            raise Refused(ErrorCode.NOT_FOUND, UNKNOWN[unknown[0]])
        set_caller(request, caller)
        return caller

    async def _who(self, request: web.Request, patience_seconds: float) -> Who:
        try:
            who = await self.authentication.who(request, patience_seconds=patience_seconds)
        except Refused as refusal:
            if refusal.code is ErrorCode.UNAUTHENTICATED:
                self.limits.refused(request)
            raise
        if not who.operator:
            await self.limits.called(request, who.actor, patience_seconds=patience_seconds / 2)
        return who

    async def _operator(self, who: Who, access: Access, ids: Ids) -> Caller:
        require_operator(who)
        if access.account and not await self.queries.account_exists(ids.pop("account_id") or _NO_ID):
            raise Refused(ErrorCode.NOT_FOUND, ACCOUNT_NOT_FOUND)
        return Caller(actor=who.actor, operator=True)

    async def _caller(
        self, request: web.Request, who: Who, access: Access, ids: Ids, patience_seconds: float
    ) -> Caller:
        accounts, app = _named(request, who), None
        deployment_id = ids.get("deployment_id")
        if not (access.app or access.account or deployment_id):
            accounts = accounts[:1]
        require(accounts, access.scope)
        meant = accounts[0]
        if access.app:
            meant, app = await self._with_app(accounts, ids.pop("app_id"))
        elif access.account:
            meant = _of_id(accounts, ids.pop("account_id"))
        elif deployment_id is not None and len(accounts) > 1:
            meant = await self.owners.find(request, who, accounts, deployment_id, patience_seconds=patience_seconds)
        require([meant], access.scope)
        if meant.is_suspended and request.method not in SAFE_METHODS:
            raise Refused(ErrorCode.ACCOUNT_SUSPENDED)
        return Caller(actor=who.actor, account_id=meant.account_id, scopes=meant.scopes, app=app)

    async def _with_app(self, accounts: Sequence[Membership], app_id: UUID | None) -> tuple[Membership, AppClaim]:
        # A malformed id is asked for as well: unknown, foreign and malformed take the same way and the same time.
        found = await self.queries.app_claim(app_id or _NO_ID, [one.account_id for one in accounts])
        if found is None:
            raise Refused(ErrorCode.NOT_FOUND, APP_NOT_FOUND)
        return _of_id(accounts, found[0]), found[1]


def _named(request: web.Request, who: Who) -> Sequence[Membership]:
    name = request.headers.get(ACCOUNT_HEADER)
    return who.accounts if name is None or not who.accounts else [_of_id(who.accounts, _id(name.strip()))]


def _of_id(accounts: Sequence[Membership], account_id: UUID | None) -> Membership:
    for account in accounts:
        if account.account_id == account_id:
            return account
    raise Refused(ErrorCode.NOT_FOUND, ACCOUNT_NOT_FOUND)


def _misnamed(request: web.Request) -> Sequence[str]:
    found = request.match_info
    return [name for name, form in NAMES.items() if name in found and not re.fullmatch(form, found[name])]


def _id(text: str) -> UUID | None:
    return UUID(text) if _UUID.fullmatch(text) else None
