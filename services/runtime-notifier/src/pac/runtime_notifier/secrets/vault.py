"""Reads and changes stored secrets. A change is one transaction: sealed values, versions, and the names in the log."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.bodies.secrets import ALL_VALUES_MAX_BYTES, SECRETS_MAX
from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog import Cause, EventLog, Transaction
from pac.runtime_notifier.environments import EnvironmentLost, Values
from pac.runtime_notifier.fleet import lock_of
from pac.runtime_notifier.secrets.book import KEPT_VERSIONS, Book, book_of
from pac.runtime_notifier.secrets.domain import SECRETS as CHANGES
from pac.runtime_notifier.secrets.domain import Changes, ChangeSecrets
from pac.runtime_notifier.secrets.envelope import DataKey, KeyRing, Place, Unreadable
from pac.runtime_notifier.secrets.tables import SECRETS, VAULTS
from pac.runtime_notifier.tables import APPS

HISTORY: Final = text("""
SELECT version, at, metadata->>'actor' AS actor, data->'names' AS names FROM log.events
WHERE stream = :stream AND version >= :oldest ORDER BY version DESC
""")
Plan = Callable[[Book], Values]
Which = Callable[[Book], frozenset[str]]


@dataclass(frozen=True)
class Owner:
    """Whose secrets, and who asks. `redeploys`: what the app wants of a change, by its `deploy_policy`."""

    account_id: UUID
    app_id: UUID
    redeploys: bool = False


@dataclass(frozen=True)
class Saved:
    """`count`: how many there are now."""

    version: int
    count: int


Then = Callable[[AsyncConnection, Saved], Awaitable[None]]


@dataclass(frozen=True)
class Difference:
    """Names that change, and of those that are not removed the new values."""

    names: frozenset[str]
    values: Values


@dataclass(frozen=True)
class Change:
    version: int
    at: datetime
    actor: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class Vault:
    log: EventLog
    ring: KeyRing

    # ---- what the runtime is given (see environments.ProviderLayer) ------------------------------------------------

    async def values_of(self, app_id: UUID) -> Values:
        """Those in force at this moment. Raises EnvironmentLost, OSError."""
        try:
            return (await self.book(app_id)).values()
        except Unreadable as unreadable:
            raise EnvironmentLost(f"The app's stored secrets cannot be opened: {unreadable}") from None

    async def every_value_of(self, app_id: UUID) -> Sequence[SecretStr]:
        """Also those before: the runtime may quote what it was given then. Raises EnvironmentLost, OSError."""
        try:
            return (await self.book(app_id)).every_value()
        except Unreadable as unreadable:
            raise EnvironmentLost(f"The app's stored secrets cannot be opened: {unreadable}") from None

    # ---- reading ---------------------------------------------------------------------------------------------------

    async def book(self, app_id: UUID) -> Book:
        async with self.log.reading() as connection:
            return await book_of(connection, self.ring, app_id)

    async def history(self, app_id: UUID, oldest: int) -> Sequence[Change]:
        """The changes from a version on, the newest first."""
        asked = {"stream": CHANGES.stream(app_id), "oldest": oldest}
        async with self.log.reading() as connection:
            rows = (await connection.execute(HISTORY, asked)).all()
        return [Change(row.version, row.at, row.actor, tuple(row.names)) for row in rows]

    # ---- changing --------------------------------------------------------------------------------------------------

    async def change(self, owner: Owner, plan: Plan, *, cause: Cause, at: datetime, then: Then) -> Saved:
        """Makes the app's secrets what `plan` wants; `then` runs before the commit.

        Where nothing differs nothing is written. Raises what `plan` raises; Refused for a deleted app and past the
        limits; Unreadable.
        """

        def differing(book: Book) -> Difference:
            before, wanted = book.values(), plan(book)
            _within_limits(wanted)
            names = frozenset(name for name in {**before, **wanted} if before.get(name) != wanted.get(name))
            return Difference(names, {name: wanted[name] for name in names & wanted.keys()})

        return await self._change(owner, differing, cause=cause, at=at, then=then)

    async def remove(self, owner: Owner, which: Which, *, cause: Cause, at: datetime, then: Then) -> Saved:
        """Removes the names that `which` gives of those in force, without opening any: it needs no key.

        Raises what `which` raises; Refused for a deleted app.
        """
        return await self._change(owner, lambda book: Difference(which(book), {}), cause=cause, at=at, then=then)

    async def _change(
        self, owner: Owner, differing: Callable[[Book], Difference], *, cause: Cause, at: datetime, then: Then
    ) -> Saved:
        stream = CHANGES.stream(owner.app_id)
        async with self.log.transaction(stream, cause=cause, locks=lock_of(owner.app_id)) as tx:
            await _not_deleted(tx, owner.app_id)
            book = await book_of(tx.connection, self.ring, owner.app_id)
            difference = differing(book)
            command = ChangeSecrets(owner.account_id, owner.app_id, difference.names, at, owner.redeploys)
            events = CHANGES.decide(Changes(book.version), command)
            if events:
                await tx.append(stream, events, expected_version=book.version)
                await self._write(tx, book, difference, by=cause.actor, at=at)
            saved = Saved(book.version + len(events), len((book.names - difference.names) | difference.values.keys()))
            await then(tx.connection, saved)
        return saved

    async def erase(self, tx: Transaction, app_id: UUID) -> None:
        """All of a deleted app's, with the key that opened them; in the transaction that has its lock."""
        for table in (SECRETS, VAULTS):
            await tx.execute(delete(table).where(table.c.app_id == app_id))

    async def _write(self, tx: Transaction, book: Book, difference: Difference, *, by: str, at: datetime) -> None:
        version, app_id = book.version + 1, book.app_id
        moved = await self._moved(tx, book, version)
        mine = SECRETS.c.app_id == app_id
        ends = update(SECRETS).where(mine, SECRETS.c.name.in_(difference.names), SECRETS.c.until.is_(None))
        await tx.execute(ends.values(until=version))
        values = difference.values.items()
        if rows := [_row(moved.key, Place(app_id, name, version), value, by, at) for name, value in values]:
            await tx.execute(insert(SECRETS), rows)
        past = SECRETS.c.until <= version - KEPT_VERSIONS
        await tx.execute(delete(SECRETS).where(mine, past))

    async def _moved(self, tx: Transaction, book: Book, version: int) -> Book:
        """The app's vault is at `version` from now on; its key is made with its first secret."""
        if book.wrapped is not None:
            await tx.execute(update(VAULTS).where(VAULTS.c.app_id == book.app_id).values(version=version))
            return book
        wrapped = self.ring.wrap(book.app_id, DataKey.new())
        row = {"app_id": book.app_id, "version": version, "kek_id": wrapped.kek_id, "wrapped_key": wrapped.sealed}
        await tx.execute(insert(VAULTS).values(row))
        return replace(book, wrapped=wrapped)


def _row(key: DataKey, place: Place, value: SecretStr, by: str, at: datetime) -> Mapping[str, object]:
    sealed = key.seal(place, value)
    return {
        "app_id": place.app_id,
        "name": place.name,
        "version": place.version,
        "until": None,
        "sealed": sealed,
        "set_by": by,
        "set_at": at,
    }


async def _not_deleted(tx: Transaction, app_id: UUID) -> None:
    """The gateway has looked; but what it knew then may be over by now. An app not heard of yet is only that."""
    if (await tx.execute(select(APPS.c.is_deleted).where(APPS.c.app_id == app_id))).scalar_one_or_none():
        raise Refused(ErrorCode.NOT_FOUND, "Agent app not found")


def _within_limits(wanted: Values) -> None:
    if len(wanted) > SECRETS_MAX:
        raise _past_limit(f"An app has at most {SECRETS_MAX} secrets")
    if sum(len(value.get_secret_value().encode()) for value in wanted.values()) > ALL_VALUES_MAX_BYTES:
        raise _past_limit(f"The values of an app's secrets together have at most {ALL_VALUES_MAX_BYTES} bytes")


def _past_limit(sentence: str) -> Refused:
    return Refused(ErrorCode.INVALID_REQUEST, sentence, details=[sentence])
