"""The packages of an app over HTTP: list, look, fetch, delete; and what the gateway asks while the hub is silent."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from aiohttp import hdrs, web
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import Step
from pac.contracts.bodies.packages import DeletedReply, PackageReply, PackagesReply
from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog import EventLog
from pac.packages.domain.package import PACKAGE, Delete
from pac.packages.domain.versions import Status
from pac.packages.queries import Queries
from pac.packages.shelf import Shelf, app_lock
from pac.packages.views import package_view, submission_view, whole_view
from pac.servicekit.clock import Clock
from pac.servicekit.http import account_and_app, caller_of, cause_of, cursor_of, flag_in, page_in, reply, uuid_in
from pac.servicekit.objects import Objects

NOT_FOUND = "Package not found"
RETRY_AFTER_SECONDS = 2


@dataclass(frozen=True)
class Api:
    log: EventLog
    queries: Queries
    objects: Objects
    clock: Clock
    download_seconds: int = 900
    user_wait_seconds: float = 2.0

    async def get_packages(self, request: web.Request) -> web.Response:
        account_id, app_id = account_and_app(request)
        page = page_in(request, (str, str), default=200, maximum=1000)
        found = await self.queries.packages(account_id, app_id, limit=page.limit, after=_after(page.after))
        rows = found.rows[: page.limit]
        views = tuple(
            package_view(
                row,
                s3_url=self.objects.url(row.object_key),
                notes=found.notes.get(row.package_id),
                current=row.package_id == found.current,
            )
            for row in rows
        )
        more = len(found.rows) > page.limit
        cursor = cursor_of(rows[-1].created_at.isoformat(), str(rows[-1].package_id)) if more else None
        return reply(PackagesReply(packages=views, next_cursor=cursor))

    async def get_package(self, request: web.Request) -> web.Response:
        account_id, app_id = account_and_app(request)
        found = await self.queries.package(account_id, app_id, uuid_in(request, "package_id"))
        row = found.rows[0]
        view = package_view(
            row,
            s3_url=self.objects.url(row.object_key),
            notes=found.notes.get(row.package_id),
            current=row.package_id == found.current,
        )
        told = await self.queries.provenance(app_id, row.package_id)
        return reply(PackageReply(package=whole_view(view, row, told)))

    async def get_download(self, request: web.Request) -> web.Response:
        """302 to an address that works for a while and is shown nowhere else."""
        account_id, app_id = account_and_app(request)
        found = await self.queries.package(account_id, app_id, uuid_in(request, "package_id"))
        row = found.rows[0]
        key = row.object_key if Step.UPLOAD_TO_S3.value in row.done else row.staging_key
        if key is None:
            raise Refused(ErrorCode.BYTES_GONE)
        name = (row.metadata or {}).get("name") or "agent"
        url = await self.objects.presigned_get(key, self.download_seconds, filename=f"{name}-{row.version}.apkg")
        return web.Response(status=302, headers={hdrs.LOCATION: url, hdrs.CACHE_CONTROL: "no-store"})

    async def delete_package(self, request: web.Request) -> web.Response:
        """Refused (409) while a deployment uses it, or it is the current release and `force` is not given."""
        account_id, app_id = account_and_app(request)
        package_id = uuid_in(request, "package_id")
        force = flag_in(request, "force")
        await self.queries.package(account_id, app_id, package_id)
        await self._unused(app_id, package_id)
        stream = PACKAGE.stream(package_id)
        async with self.log.transaction(stream, cause=cause_of(request), locks=[app_lock(app_id)]) as tx:
            shelf = Shelf(tx.connection, app_id)
            package = await shelf.holder(package_id)
            if package.status is Status.DELETED:
                raise Refused(ErrorCode.NOT_FOUND, NOT_FOUND)
            app = await shelf.app()
            if package.users:
                used_by = [{"deployment_id": str(user)} for user in sorted(package.users, key=str)]
                raise Refused(ErrorCode.PACKAGE_IN_USE, used_by=used_by, retry_after_seconds=RETRY_AFTER_SECONDS)
            if app is not None and app.current_package_id == package_id and not force:
                release = {"deployment_id": str(app.current_deployment_id), "current_release": True}
                hint = "Repeat with ?force=true: it keeps running until another release is current."
                raise Refused(ErrorCode.PACKAGE_IN_USE, used_by=[release], hint=hint)
            row = await shelf.package(package_id)
            assert row is not None
            await shelf.put(row.version, (await shelf.place(row.version)).without(package_id))
            await shelf.change(package_id, status=Status.DELETED)
            await tx.decide(PACKAGE, package_id, Delete(package_id, account_id, app_id, self.clock()))
        return reply(DeletedReply())

    async def get_submission(self, request: web.Request) -> web.Response:
        row = await self.queries.submission(caller_of(request).account_id, uuid_in(request, "deployment_id"))
        return reply(submission_view(row))

    async def _unused(self, app_id: UUID, package_id: UUID) -> None:
        """Waits a little for an end that was said and has not been heard here yet; the answer is decided after it."""

        async def free(connection: AsyncConnection) -> bool | None:
            return True if not (await Shelf(connection, app_id).holder(package_id)).users else None

        await self.log.wait_for(free, timeout_seconds=self.user_wait_seconds)


def _after(values: tuple[str | int, ...]) -> tuple[datetime, UUID] | None:
    if not values:
        return None
    try:
        return datetime.fromisoformat(str(values[0])), UUID(str(values[1]))
    except ValueError:
        raise Refused(ErrorCode.INVALID_REQUEST, details=["cursor: not one that this list has given out"]) from None
