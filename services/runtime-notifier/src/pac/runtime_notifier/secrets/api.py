"""An app's secrets over HTTP, in the shapes of the real client; versions and restore beside them.

The real client shows `error` alone of a 400, so the first fault is the sentence.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import web
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.api import Reply
from pac.contracts.bodies.secrets import (
    PutSecret,
    RestoreSecrets,
    SecretSavedReply,
    SecretsDeletedReply,
    SecretsReply,
    SecretsSavedReply,
    SecretsVersionsReply,
    SecretsVersionView,
    SecretView,
    SetSecrets,
)
from pac.contracts.errors import ErrorCode, Refused
from pac.runtime_notifier.environments import Values
from pac.runtime_notifier.secrets.book import Book, Entry
from pac.runtime_notifier.secrets.vault import Owner, Plan, Saved, Then, Vault, Which
from pac.servicekit.clock import Clock
from pac.servicekit.http import account_and_app, body_in, caller_of, cause_of, flag_in, reply
from pac.servicekit.idempotency import attempt_of

M = TypeVar("M", bound=BaseModel)
MASK: Final = "***"
NOT_FOUND: Final = "Secret not found"


@dataclass(frozen=True)
class Api:
    vault: Vault
    clock: Clock

    async def get_secrets(self, request: web.Request) -> web.Response:
        """Their values, since the real client masks them itself; with `?masked=true` they are not even opened."""
        owner, masked = owner_of(request), flag_in(request, "masked")
        book = await self.vault.book(owner.app_id)
        values = {} if masked else book.values()
        shown = {
            entry.place.name: MASK if masked else values[entry.place.name].get_secret_value() for entry in book.in_force
        }
        return reply(SecretsReply(secrets=shown, version=book.version, keys=tuple(map(view_of, book.in_force))))

    async def set_secrets(self, request: web.Request) -> web.Response:
        wish = await wish_in(request, SetSecrets)
        return await self._change(request, lambda _: wish.secrets, _all_saved)

    async def put_secret(self, request: web.Request) -> web.Response:
        wish, name = await wish_in(request, PutSecret), name_in(request)
        return await self._change(
            request,
            lambda book: {**book.values(), name: wish.value},
            lambda saved: SecretSavedReply(key=name, version=saved.version),
        )

    async def delete_secret(self, request: web.Request) -> web.Response:
        name = name_in(request)

        def only(book: Book) -> frozenset[str]:
            if name not in book.names:
                raise Refused(ErrorCode.NOT_FOUND, NOT_FOUND)
            return frozenset({name})

        return await self._remove(request, only, lambda saved: SecretSavedReply(key=name, version=saved.version))

    async def delete_secrets(self, request: web.Request) -> web.Response:
        return await self._remove(
            request, lambda book: book.names, lambda saved: SecretsDeletedReply(version=saved.version)
        )

    async def get_versions(self, request: web.Request) -> web.Response:
        owner = owner_of(request)
        book = await self.vault.book(owner.app_id)
        changes = await self.vault.history(owner.app_id, book.oldest)
        views = [SecretsVersionView(version=one.version, at=one.at, by=one.actor, names=one.names) for one in changes]
        return reply(SecretsVersionsReply(versions=tuple(views), oldest=book.oldest))

    async def restore_secrets(self, request: web.Request) -> web.Response:
        """All, or one, as they were at a version: that is a change like any other, and the newest version."""
        wish = await wish_in(request, RestoreSecrets)

        def as_then(book: Book) -> Values:
            if not book.oldest <= wish.version <= book.version:
                sentence = f"There is no version {wish.version} to restore: from {book.oldest} to {book.version}"
                raise Refused(ErrorCode.NOT_FOUND, sentence)
            then = book.values(wish.version)
            if wish.key is None:
                return then
            if wish.key not in then:
                raise Refused(ErrorCode.NOT_FOUND, f"There was no secret {wish.key} at version {wish.version}")
            return {**book.values(), wish.key: then[wish.key]}

        return await self._change(request, as_then, _all_saved)

    async def _change(self, request: web.Request, plan: Plan, told: Callable[[Saved], Reply]) -> web.Response:
        owner, cause, then = owner_of(request), cause_of(request), kept(request, told)
        return reply(told(await self.vault.change(owner, plan, cause=cause, at=self.clock(), then=then)))

    async def _remove(self, request: web.Request, which: Which, told: Callable[[Saved], Reply]) -> web.Response:
        owner, cause, then = owner_of(request), cause_of(request), kept(request, told)
        return reply(told(await self.vault.remove(owner, which, cause=cause, at=self.clock(), then=then)))


def kept(request: web.Request, told: Callable[[Saved], Reply]) -> Then:
    """The answer, for another attempt of the same request."""

    async def keep(connection: AsyncConnection, saved: Saved) -> None:
        await attempt_of(request).answer_in(connection, reply(told(saved)))

    return keep


def owner_of(request: web.Request) -> Owner:
    account_id, app_id = account_and_app(request)
    app = caller_of(request).app
    return Owner(account_id, app_id, redeploys=app is not None and app.deploy_policy == "on_secrets")


def name_in(request: web.Request) -> str:
    """The gateway lets nothing else than a name through."""
    return request.match_info["secret_name"]


async def wish_in(request: web.Request, model: type[M]) -> M:
    try:
        return await body_in(request, model)
    except Refused as refused:
        if refused.code is not ErrorCode.INVALID_REQUEST:
            raise
        raise Refused(refused.code, refused.fields["details"][0], **refused.fields) from None


def view_of(entry: Entry) -> SecretView:
    place = entry.place
    return SecretView(key=place.name, version=place.version, set_by=entry.set_by, set_at=entry.set_at)


def _all_saved(saved: Saved) -> Reply:
    return SecretsSavedReply(secret_count=saved.count, version=saved.version)
