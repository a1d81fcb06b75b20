"""Reads and writes the rows of one app's packages: under the lock `app-<id>` in a transaction, or just to look."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.packages.domain.versions import Holder, Place, Status
from pac.packages.tables import apps, packages, release_notes, submissions, versions


def app_lock(app_id: UUID) -> str:
    return f"app-{app_id}"


@dataclass(frozen=True)
class NewPackage:
    """The row of a package at its first claim."""

    package_id: UUID
    account_id: UUID
    app_id: UUID
    version: str
    sha256: str
    size_bytes: int
    object_key: str
    staging_key: str | None
    created_at: datetime
    signature: str = "none"
    release_notes: str | None = None


@dataclass(frozen=True)
class Shelf:
    connection: AsyncConnection
    app_id: UUID

    # ---- apps ----------------------------------------------------------------------------------------------------

    async def app(self) -> Row[Any] | None:
        return (await self.connection.execute(select(apps).where(apps.c.app_id == self.app_id))).one_or_none()

    async def is_deleted(self) -> bool:
        row = await self.app()
        return bool(row is not None and row.deleted)

    async def next_no(self) -> int:
        statement = insert(apps).values(app_id=self.app_id, no=1)
        statement = statement.on_conflict_do_update(index_elements=[apps.c.app_id], set_={"no": apps.c.no + 1})
        return int((await self.connection.execute(statement.returning(apps.c.no))).scalar_one())

    async def mark_deleted(self) -> None:
        statement = insert(apps).values(app_id=self.app_id, deleted=True)
        await self.connection.execute(
            statement.on_conflict_do_update(index_elements=[apps.c.app_id], set_={"deleted": True})
        )

    async def move_current(self, release: int, package_id: UUID, deployment_id: UUID) -> None:
        """Only to a higher release: completions of one app may be heard in any order."""
        values = {
            "current_release": release,
            "current_package_id": package_id,
            "current_deployment_id": deployment_id,
        }
        statement = insert(apps).values(app_id=self.app_id, **values)
        await self.connection.execute(
            statement.on_conflict_do_update(
                index_elements=[apps.c.app_id], set_=values, where=apps.c.current_release < release
            )
        )

    # ---- versions ------------------------------------------------------------------------------------------------

    async def place(self, version: str) -> Place:
        where = (versions.c.app_id == self.app_id) & (versions.c.version == version)
        row = (await self.connection.execute(select(versions).where(where))).one_or_none()
        if row is None:
            return Place()
        holders = await self.holders([i for i in (row.package_id, row.beside_id) if i])
        return Place(holders.get(row.package_id), holders.get(row.beside_id))

    async def put(self, version: str, place: Place) -> None:
        if place == Place():
            where = (versions.c.app_id == self.app_id) & (versions.c.version == version)
            await self.connection.execute(delete(versions).where(where))
            return
        values = {
            "package_id": place.holder.package_id if place.holder else None,
            "beside_id": place.beside.package_id if place.beside else None,
        }
        statement = insert(versions).values(app_id=self.app_id, version=version, **values)
        await self.connection.execute(
            statement.on_conflict_do_update(index_elements=[versions.c.app_id, versions.c.version], set_=values)
        )

    # ---- packages ------------------------------------------------------------------------------------------------

    async def holders(self, package_ids: Sequence[UUID]) -> dict[UUID, Holder]:
        users = (
            select(func.array_agg(submissions.c.deployment_id))
            .where((submissions.c.package_id == packages.c.package_id) & submissions.c.open)
            .scalar_subquery()
        )
        columns = (packages.c.package_id, packages.c.status, packages.c.kept, users.label("users"))
        rows = await self.connection.execute(select(*columns).where(packages.c.package_id.in_(package_ids)))
        return {row[0]: Holder(row[0], Status(row[1]), row[2], frozenset(row[3] or ())) for row in rows}

    async def holder(self, package_id: UUID) -> Holder:
        return (await self.holders([package_id]))[package_id]

    async def package(self, package_id: UUID) -> Row[Any] | None:
        where = (packages.c.package_id == package_id) & (packages.c.app_id == self.app_id)
        return (await self.connection.execute(select(packages).where(where))).one_or_none()

    async def add(self, new: NewPackage, **more: Any) -> None:
        fields = {name: getattr(new, name) for name in new.__dataclass_fields__ if name != "release_notes"}
        await self.connection.execute(insert(packages).values(**{"status": Status.UPLOADING, **fields, **more}))
        if new.release_notes:
            await self.put_notes(new.package_id, new.account_id, new.release_notes)

    async def put_notes(self, package_id: UUID, account_id: UUID, notes: str) -> None:
        statement = insert(release_notes).values(package_id=package_id, account_id=account_id, notes=notes)
        await self.connection.execute(
            statement.on_conflict_do_update(index_elements=[release_notes.c.package_id], set_={"notes": notes})
        )

    async def change(self, package_id: UUID, **values: Any) -> None:
        await self.connection.execute(update(packages).where(packages.c.package_id == package_id).values(**values))

    async def notes(self, package_ids: Iterable[UUID]) -> dict[UUID, str]:
        where = release_notes.c.package_id.in_(list(package_ids))
        rows = await self.connection.execute(select(release_notes.c.package_id, release_notes.c.notes).where(where))
        return {row[0]: row[1] for row in rows}

    # ---- submissions ---------------------------------------------------------------------------------------------

    async def submission(self, deployment_id: UUID) -> Row[Any] | None:
        return await submission_row(self.connection, deployment_id)

    async def open_submission(self, **values: Any) -> None:
        await self.connection.execute(insert(submissions).values(app_id=self.app_id, **values))

    async def change_submission(self, deployment_id: UUID, **values: Any) -> None:
        where = submissions.c.deployment_id == deployment_id
        await self.connection.execute(update(submissions).where(where).values(**values))

    async def open_deployments(self) -> list[UUID]:
        columns = submissions.c
        statement = select(columns.deployment_id).where((columns.app_id == self.app_id) & columns.open)
        return list((await self.connection.execute(statement)).scalars())

    async def releases(self, limit: int) -> list[UUID]:
        """The deployments that became the app's current release, the last one first."""
        columns = submissions.c
        statement = (
            select(columns.deployment_id)
            .where((columns.app_id == self.app_id) & columns.release.is_not(None))
            .order_by(columns.release.desc())
            .limit(limit)
        )
        return list((await self.connection.execute(statement)).scalars())

    async def last_deployment(self, package_id: UUID) -> UUID | None:
        statement = (
            select(submissions.c.deployment_id)
            .where(submissions.c.package_id == package_id)
            .order_by(submissions.c.no.desc())
            .limit(1)
        )
        found: UUID | None = (await self.connection.execute(statement)).scalar_one_or_none()
        return found

    async def first_deployment(self, package_id: UUID) -> UUID | None:
        statement = (
            select(submissions.c.deployment_id)
            .where(submissions.c.package_id == package_id)
            .order_by(submissions.c.no)
            .limit(1)
        )
        found: UUID | None = (await self.connection.execute(statement)).scalar_one_or_none()
        return found


async def submission_row(connection: AsyncConnection, deployment_id: UUID) -> Row[Any] | None:
    where = submissions.c.deployment_id == deployment_id
    return (await connection.execute(select(submissions).where(where))).one_or_none()
