"""What the gateway serves itself: agent apps, API keys, and whether it is well; accounts are in accounts.py."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from aiohttp import web
from sqlalchemy import Row, insert, update

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.gateway import AgentAppDeleted, ApiKeyRevoked
from pac.contracts.identity import Caller, Scope
from pac.eventlog import Transaction
from pac.gateway.accounts import PLACE, AccountsApi, account_of
from pac.gateway.app_use import AppUse
from pac.gateway.domain import (
    APP,
    APP_NOT_FOUND,
    DEFAULT_RUNTIME,
    KEY,
    App,
    AppEvent,
    ChangeApp,
    CreateApp,
    CreateKey,
    DeleteApp,
    Key,
    KeyEvent,
    RevokeKey,
    SignaturePolicy,
)
from pac.gateway.explaining import Explaining
from pac.gateway.invariants import LiveLaws
from pac.gateway.keys import Pepper, new_key
from pac.gateway.proofs import Proofs
from pac.gateway.tables import agent_apps, api_keys
from pac.gateway.views import (
    AppChange,
    AppReply,
    AppsReply,
    AppView,
    HealthReply,
    InvariantsReply,
    KeysReply,
    KeyView,
    MessageReply,
    NewApiKey,
    NewApp,
    NewKeyReply,
    NewKeyView,
    ReleaseView,
)
from pac.servicekit.answers import reply
from pac.servicekit.idempotency import attempt_of
from pac.servicekit.requests import body_in, cause_of, flag_in, page_in, stopping_of, uuid_in


@dataclass(frozen=True, kw_only=True)
class Api(AccountsApi):
    pepper: Pepper
    app_use: AppUse
    live_laws: LiveLaws
    proofs: Proofs
    explaining: Explaining
    runtimes: frozenset[str] = frozenset({DEFAULT_RUNTIME})

    # ---- agent apps ---------------------------------------------------------------------------------------------

    async def list_apps(self, request: web.Request, caller: Caller) -> web.Response:
        listed = await self.queries.apps(account_of(caller), page_in(request, PLACE))
        return reply(AppsReply(agent_apps=tuple(map(_app_view, listed.rows)), next_cursor=listed.next_cursor))

    async def create_app(self, request: web.Request, caller: Caller) -> web.Response:
        wish = await body_in(request, NewApp)
        command = CreateApp(uuid4(), account_of(caller), self.now())
        row = {
            "id": command.agent_app_id,
            "account_id": command.account_id,
            "name": wish.name,
            "signature_policy": SignaturePolicy.OPTIONAL,
            "created_at": command.at,
        }
        answer = reply(AppReply(agent_app=AppView.model_validate(row)), status=201)

        async def keep(tx: Transaction, _before: App, _events: Sequence[AppEvent], _after: App) -> None:
            await tx.execute(insert(agent_apps).values(row))
            await attempt_of(request).answer_in(tx.connection, answer)

        await self.log.execute(APP, command.agent_app_id, command, cause=cause_of(request), then=keep)
        return answer

    async def get_app(self, request: web.Request, caller: Caller) -> web.Response:
        row = await self.queries.app(uuid_in(request, "app_id"), account_of(caller))
        if row is None:
            raise Refused(ErrorCode.NOT_FOUND, APP_NOT_FOUND)
        return reply(AppReply(agent_app=_app_view(row)))

    async def change_app(self, request: web.Request, caller: Caller) -> web.Response:
        wish = await body_in(request, AppChange)
        app_id = uuid_in(request, "app_id")
        if wish.runtime is not None and wish.runtime not in self.runtimes:
            known = ", ".join(sorted(self.runtimes))
            raise Refused(ErrorCode.INVALID_REQUEST, details=[f"runtime: There is none of that name; known: {known}"])
        command = ChangeApp(
            app_id, account_of(caller), self.now(), wish.signature_policy, wish.runtime, wish.deploy_policy
        )
        changes = wish.model_dump(exclude_none=True)

        async def keep(tx: Transaction, _before: App, _events: Sequence[AppEvent], _after: App) -> None:
            if changes:
                await tx.execute(update(agent_apps).where(agent_apps.c.id == app_id).values(changes))

        await self.log.execute(APP, app_id, command, cause=cause_of(request), then=keep)
        return await self.get_app(request, caller)

    async def delete_app(self, request: web.Request, caller: Caller) -> web.Response:
        """Refused (409) while it is in use, unless `force` says to end all of that."""
        command = DeleteApp(uuid_in(request, "app_id"), account_of(caller), self.now())
        if not flag_in(request, "force"):
            await self.app_use.refuse(request, caller, command.agent_app_id)

        async def erase(tx: Transaction, _before: App, events: Sequence[AppEvent], _after: App) -> None:
            for event in events:
                if isinstance(event, AgentAppDeleted):
                    row = update(agent_apps).where(agent_apps.c.id == event.agent_app_id)
                    await tx.execute(row.values(deleted_at=event.at, name=""))

        await self.log.execute(APP, command.agent_app_id, command, cause=cause_of(request), then=erase)
        return reply(MessageReply(message="Agent app deleted successfully"))

    async def explain_environment(self, request: web.Request, caller: Caller) -> web.Response:
        return reply(await self.explaining.explained(request, caller, uuid_in(request, "app_id")))

    # ---- API keys -----------------------------------------------------------------------------------------------

    async def list_keys(self, request: web.Request, caller: Caller) -> web.Response:
        listed = await self.queries.keys(account_of(caller), page_in(request, PLACE))
        views = tuple(KeyView.model_validate(row, from_attributes=True) for row in listed.rows)
        return reply(KeysReply(api_keys=views, next_cursor=listed.next_cursor))

    async def create_key(self, request: web.Request, caller: Caller) -> web.Response:
        return await self._create_key(request, account_of(caller), frozenset({Scope.DEPLOY, Scope.READ}))

    async def create_key_of_account(self, request: web.Request, _caller: Caller) -> web.Response:
        """The first key of an account: it may do everything, unless told otherwise."""
        return await self._create_key(request, uuid_in(request, "account_id"), frozenset(Scope))

    async def _create_key(self, request: web.Request, account_id: UUID, default: frozenset[Scope]) -> web.Response:
        wish = await body_in(request, NewApiKey)
        at = self.now()
        if wish.expires_at is not None and wish.expires_at <= at:
            raise Refused(ErrorCode.INVALID_REQUEST, details=["expires_at: Must be in the future"])
        key = new_key()
        command = CreateKey(uuid4(), account_id, wish.scopes or default, wish.expires_at, at)
        shown = NewKeyView(
            id=command.api_key_id,
            name=wish.name,
            key=key.text,
            last4=key.last4,
            scopes=tuple(scope for scope in Scope if scope in command.scopes),
            created_at=at,
            expires_at=wish.expires_at,
        )
        answer = reply(NewKeyReply(api_key=shown), status=201)

        async def keep(tx: Transaction, _before: Key, _events: Sequence[KeyEvent], _after: Key) -> None:
            row = shown.model_dump(exclude={"key", "prefix", "scopes"})
            row |= {"account_id": account_id, "hash": self.pepper.hash(key.text), "scopes": list(shown.scopes)}
            await tx.execute(insert(api_keys).values(row))
            await attempt_of(request).answer_in(tx.connection, answer)

        await self.log.execute(KEY, command.api_key_id, command, cause=cause_of(request), then=keep)
        return answer

    async def revoke_key(self, request: web.Request, caller: Caller) -> web.Response:
        key_id = uuid_in(request, "key_id")
        command = RevokeKey(key_id, account_of(caller), self.now())

        async def close(tx: Transaction, _before: Key, events: Sequence[KeyEvent], _after: Key) -> None:
            for event in events:
                if isinstance(event, ApiKeyRevoked):
                    row = update(api_keys).where(api_keys.c.id == key_id)
                    await tx.execute(row.values(revoked_at=event.at, name=""))

        await self.log.execute(KEY, key_id, command, cause=cause_of(request), then=close)
        self.believed.forget_key(key_id)
        return reply(MessageReply(message="API key revoked successfully"))

    # ---- proofs -------------------------------------------------------------------------------------------------

    async def get_proof(self, request: web.Request, caller: Caller) -> web.Response:
        return await self.proofs.get(request, caller)

    async def get_proof_keys(self, request: web.Request, caller: Caller) -> web.Response:
        return reply(await self.proofs.keys(request, caller))

    # ---- health -------------------------------------------------------------------------------------------------

    async def get_invariants(self, request: web.Request, caller: Caller) -> web.Response:
        return reply(InvariantsReply.model_validate(await self.live_laws.judged(request, caller)))

    async def health(self, _request: web.Request, _caller: Caller) -> web.Response:
        return reply(HealthReply())

    async def ready(self, request: web.Request, _caller: Caller) -> web.Response:
        """This port opens once Postgres and Kafka were reached; details are on the admin port."""
        if stopping_of(request).is_set():
            raise Refused(ErrorCode.UNAVAILABLE, retry_after_seconds=1)
        return reply(HealthReply())


def _app_view(row: Row[Any]) -> AppView:
    current = None
    if row.current_deployment_id is not None:
        current = ReleaseView(
            deployment_id=row.current_deployment_id, package_id=row.current_package_id, version=row.current_version
        )
    # The documented way to a row's names.
    shown = {"current_release": current, "stopped": 0 < row.current_release <= row.stopped_release}
    return AppView.model_validate({**row._mapping, **shown})  # noqa: SLF001
