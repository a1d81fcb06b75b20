"""One app's secrets as they lie in the database, with the key that opens them: now, and at the versions still kept.

The key is unwrapped when a value is asked for: names and versions are there without it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Final
from uuid import UUID

from pydantic import SecretStr
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.runtime_notifier.environments import Values
from pac.runtime_notifier.secrets.envelope import DataKey, KeyRing, Place, Wrapped
from pac.runtime_notifier.secrets.tables import SECRETS, VAULTS

KEPT_VERSIONS: Final = 20  # before the one in force: so many changes can be undone


@dataclass(frozen=True)
class Entry:
    """A value of one name, in force from `version` on and before `until`."""

    place: Place
    until: int | None
    sealed: bytes = field(repr=False)
    set_by: str
    set_at: datetime

    def is_in(self, version: int) -> bool:
        return self.place.version <= version and (self.until is None or version < self.until)


@dataclass(frozen=True)
class Book:
    """`wrapped` is None, and nothing is there, before the app has had its first secret."""

    app_id: UUID
    ring: KeyRing
    version: int = 0
    wrapped: Wrapped | None = None
    entries: tuple[Entry, ...] = ()

    @cached_property
    def key(self) -> DataKey:
        """Raises Unreadable if it cannot be unwrapped."""
        assert self.wrapped is not None, "entries are written with a key"
        return self.ring.unwrap(self.wrapped)

    @property
    def oldest(self) -> int:
        """The first version that can still be restored."""
        return max(0, self.version - KEPT_VERSIONS)

    @property
    def in_force(self) -> tuple[Entry, ...]:
        return tuple(entry for entry in self.entries if entry.until is None)

    @property
    def names(self) -> frozenset[str]:
        return frozenset(entry.place.name for entry in self.in_force)

    def values(self, version: int | None = None) -> Values:
        """Of the version in force, or of one that is kept. Raises Unreadable."""
        wanted = self.version if version is None else version
        return self._opened(entry for entry in self.entries if entry.is_in(wanted))

    def every_value(self) -> tuple[SecretStr, ...]:
        """Also those that are kept to be restored. Raises Unreadable."""
        return tuple(self._open(entry) for entry in self.entries)

    def _opened(self, entries: Iterable[Entry]) -> Values:
        return {entry.place.name: self._open(entry) for entry in entries}

    def _open(self, entry: Entry) -> SecretStr:
        return self.key.open(entry.place, entry.sealed)


async def book_of(connection: AsyncConnection, ring: KeyRing, app_id: UUID) -> Book:
    """One statement, so what it shows is of one moment."""
    columns = (VAULTS.c.version.label("now"), VAULTS.c.kek_id, VAULTS.c.wrapped_key, SECRETS)
    joined = VAULTS.outerjoin(SECRETS, SECRETS.c.app_id == VAULTS.c.app_id)
    statement = select(*columns).select_from(joined).where(VAULTS.c.app_id == app_id).order_by(SECRETS.c.name)
    rows = (await connection.execute(statement)).all()
    if not rows:
        return Book(app_id, ring)
    wrapped = Wrapped(app_id, rows[0].kek_id, rows[0].wrapped_key)
    entries = tuple(
        Entry(Place(app_id, row.name, row.version), row.until, row.sealed, row.set_by, row.set_at)
        for row in rows
        if row.name is not None
    )
    return Book(app_id, ring, rows[0].now, wrapped, entries)
