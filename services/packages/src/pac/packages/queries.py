"""Reads for the API. What belongs to another account is as unknown as what does not exist."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, tuple_

from pac.contracts.bodies.packages import Provenance
from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.packages import PackageUploaded
from pac.eventlog import EventLog
from pac.packages.domain.package import PACKAGE
from pac.packages.domain.submission import SUBMISSION
from pac.packages.domain.versions import Status
from pac.packages.durations import estimated_seconds
from pac.packages.shelf import Shelf, submission_row
from pac.packages.tables import packages
from pac.packages.views import provenance

# Manifest and list of files may be megabytes each, and a list shows neither.
LISTED = tuple(column for column in packages.c if column.name not in {"manifest", "metadata"})


@dataclass(frozen=True)
class Found:
    """Packages with what is shown beside them."""

    rows: Sequence[Row[Any]]
    notes: dict[UUID, str]
    current: UUID | None


@dataclass(frozen=True)
class Queries:
    log: EventLog

    async def packages(
        self, account_id: UUID, app_id: UUID, *, limit: int, after: tuple[datetime, UUID] | None
    ) -> Found:
        """Newest first, one more than `limit` when there are more; deleted ones are left out."""
        statement = select(*LISTED).where(
            (packages.c.account_id == account_id) & (packages.c.app_id == app_id) & (packages.c.status != "deleted")
        )
        place = tuple_(packages.c.created_at, packages.c.package_id)
        if after is not None:
            statement = statement.where(place < after)
        statement = statement.order_by(packages.c.created_at.desc(), packages.c.package_id.desc()).limit(limit + 1)
        async with self.log.reading() as connection:
            rows = (await connection.execute(statement)).all()
            return await self._found(Shelf(connection, app_id), rows)

    async def package(self, account_id: UUID, app_id: UUID, package_id: UUID) -> Found:
        """Exactly one row. Refused (404) for an unknown, foreign or deleted one."""
        async with self.log.reading() as connection:
            shelf = Shelf(connection, app_id)
            row = await shelf.package(package_id)
            if row is None or row.account_id != account_id or row.status == Status.DELETED:
                raise Refused(ErrorCode.NOT_FOUND, "Package not found")
            return await self._found(shelf, [row])

    async def provenance(self, app_id: UUID, package_id: UUID) -> Provenance | None:
        """What the log says of the bytes' way in: in the upload's own event, or the first submission."""
        told = await self.log.history(PACKAGE.stream(package_id))
        if not told or not isinstance(told[0].event, PackageUploaded):
            async with self.log.reading() as connection:
                deployment_id = await Shelf(connection, app_id).first_deployment(package_id)
            told = [] if deployment_id is None else await self.log.history(SUBMISSION.stream(deployment_id))
        return provenance(told[0]) if told else None

    async def submission(self, account_id: UUID | None, deployment_id: UUID) -> Row[Any]:
        async with self.log.reading() as connection:
            row = await submission_row(connection, deployment_id)
        if row is None or row.account_id != account_id:
            raise Refused(ErrorCode.NOT_FOUND, "Deployment not found")
        return row

    async def app_is_deleted(self, app_id: UUID) -> bool:
        async with self.log.reading() as connection:
            return await Shelf(connection, app_id).is_deleted()

    async def estimated_seconds(self, app_id: UUID) -> int:
        """Of a deployment that would be submitted now."""
        async with self.log.reading() as connection:
            app = await Shelf(connection, app_id).app()
            return await estimated_seconds(connection, app_id, (app.no if app is not None else 0) + 1)

    async def _found(self, shelf: Shelf, rows: Sequence[Row[Any]]) -> Found:
        notes = await shelf.notes(row.package_id for row in rows)
        app = await shelf.app()
        return Found(rows, notes, app.current_package_id if app is not None else None)
