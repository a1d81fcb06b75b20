"""Puts a package into the log: a claim of its version and what follows from it, in one transaction.

A claim whose holder looks open waits: the holder's end may have been said and not been heard here yet.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import SealedEnvironment, Source
from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog import Cause, EventLog
from pac.packages.domain.package import PACKAGE, Upload
from pac.packages.domain.submission import OWN_STEPS, SUBMISSION, Submit
from pac.packages.domain.versions import Claim, Holder, Place, Status, claim
from pac.packages.durations import estimated_seconds
from pac.packages.leftovers import refer_in
from pac.packages.shelf import NewPackage, Shelf, app_lock
from pac.servicekit.clock import Clock


@dataclass(frozen=True)
class Existing:
    """Who has the version that somebody asks for."""

    package_id: UUID
    sha256: str
    deployment_id: UUID | None


class VersionTaken(Exception):  # noqa: N818 - one of several faults that make one answer
    def __init__(self, existing: Existing) -> None:
        super().__init__("Version already exists")
        self.existing = existing


@dataclass(frozen=True)
class Submitted:
    deployment_id: UUID
    package_id: UUID
    no: int
    estimated_seconds: int


Kept = Callable[[AsyncConnection, Submitted], Awaitable[None]]


async def nothing_kept(connection: AsyncConnection, submitted: Submitted) -> None:
    """A request without a key leaves nothing behind for another attempt."""


@dataclass(frozen=True)
class Submitting:
    log: EventLog
    clock: Clock
    holder_wait_seconds: float = 2.0

    async def existing(self, app_id: UUID, version: str, *, overwrite: bool) -> Existing | None:
        """Who has the version, once it is sure; None when it can be claimed. Only looks."""
        if not await self._sure(app_id, version, overwrite=overwrite):
            return None
        async with self.log.reading() as connection:
            shelf = Shelf(connection, app_id)
            place = await shelf.place(version)
            if claim(place, overwrite=overwrite, waited=True) is not Claim.TAKEN:
                return None
            return await _existing(shelf, place)

    async def submit(
        self,
        new: NewPackage,
        deployment_id: UUID,
        *,
        overwrite: bool,
        environment: SealedEnvironment | None,
        cause: Cause,
        then: Kept = nothing_kept,
    ) -> Submitted:
        """Claims the version and says PackageSubmitted; `then` is done in the same transaction.

        Raises VersionTaken, or Refused: 404 for a deleted app, 409 if its signer may sign no more.
        """
        waited = False
        deadline = asyncio.get_running_loop().time() + self.holder_wait_seconds
        while True:
            stream = SUBMISSION.stream(deployment_id)
            async with self.log.transaction(stream, cause=cause, locks=[app_lock(new.app_id)]) as tx:
                shelf = Shelf(tx.connection, new.app_id)
                place = await self._place(shelf, new)
                claimed = claim(place, overwrite=overwrite, waited=waited)
                if claimed is Claim.TAKEN:
                    raise VersionTaken(await _existing(shelf, place))
                if claimed is not Claim.WAIT:
                    await shelf.add(new)
                    await shelf.put(new.version, _claimed(place, new.package_id, claimed))
                    no = await shelf.next_no()
                    await shelf.open_submission(
                        deployment_id=deployment_id,
                        package_id=new.package_id,
                        account_id=new.account_id,
                        version=new.version,
                        no=no,
                        source=Source.UPLOAD.value,
                        sealed_key=environment.object_key if environment else None,
                        queued_at=new.created_at,
                    )
                    command = Submit(
                        deployment_id=deployment_id,
                        package_id=new.package_id,
                        account_id=new.account_id,
                        agent_app_id=new.app_id,
                        package_version=new.version,
                        sha256=new.sha256,
                        size_bytes=new.size_bytes,
                        object_key=new.staging_key or new.object_key,
                        source=Source.UPLOAD,
                        no=no,
                        at=new.created_at,
                        environment=environment,
                        force_overwrite=overwrite,
                        signed_by=new.signed_by,
                        signing_key=new.signing_key,
                    )
                    await tx.decide(SUBMISSION, deployment_id, command)
                    await refer_in(tx.connection, new.staging_key, environment.object_key if environment else None)
                    seconds = await estimated_seconds(tx.connection, new.app_id, no)
                    submitted = Submitted(deployment_id, new.package_id, no, seconds)
                    await then(tx.connection, submitted)
                    return submitted
            await self._holder_moves(new.app_id, new.version, overwrite=overwrite, deadline=deadline)
            waited = asyncio.get_running_loop().time() >= deadline

    async def upload(
        self,
        new: NewPackage,
        *,
        described: dict[str, object],
        cause: Cause,
        locks: Sequence[str],
        then: Callable[[AsyncConnection], Awaitable[None]],
    ) -> None:
        """A plain upload, validated and promoted: claims the version for good and says PackageUploaded.

        `then` is done in the same transaction, which also holds `locks`.
        """
        stream = PACKAGE.stream(new.package_id)
        async with self.log.transaction(stream, cause=cause, locks=[app_lock(new.app_id), *locks]) as tx:
            shelf = Shelf(tx.connection, new.app_id)
            place = await self._place(shelf, new)
            if place != Place():
                raise VersionTaken(await _existing(shelf, place))
            done = [step.value for step in OWN_STEPS]
            await shelf.add(new, **{"status": Status.STORED, "kept": True, "done": done, **described})
            await shelf.put(new.version, _claimed(place, new.package_id, Claim.TAKE))
            command = Upload(
                package_id=new.package_id,
                account_id=new.account_id,
                agent_app_id=new.app_id,
                package_version=new.version,
                sha256=new.sha256,
                size_bytes=new.size_bytes,
                object_key=new.object_key,
                at=self.clock(),
                signed_by=new.signed_by,
                signing_key=new.signing_key,
            )
            await tx.decide(PACKAGE, new.package_id, command)
            await then(tx.connection)

    async def _place(self, shelf: Shelf, new: NewPackage) -> Place:
        """Under the app's lock: what was looked at before it may have changed meanwhile."""
        if await shelf.is_deleted():
            raise Refused(ErrorCode.NOT_FOUND)
        if new.signed_by is not None and not await shelf.is_signer(new.signed_by):
            raise Refused(ErrorCode.CONFLICT, "The key that has signed this was removed at the same moment")
        return await shelf.place(new.version)

    async def _sure(self, app_id: UUID, version: str, *, overwrite: bool) -> bool:
        """False when the version is free; else True, after the wait that its holder may need to end."""
        deadline = asyncio.get_running_loop().time() + self.holder_wait_seconds
        async with self.log.reading() as connection:
            claimed = claim(await Shelf(connection, app_id).place(version), overwrite=overwrite, waited=False)
        if claimed is Claim.WAIT:
            await self._holder_moves(app_id, version, overwrite=overwrite, deadline=deadline)
        return claimed in (Claim.WAIT, Claim.TAKEN)

    async def _holder_moves(self, app_id: UUID, version: str, *, overwrite: bool, deadline: float) -> None:
        async def moved(connection: AsyncConnection) -> bool | None:
            place = await Shelf(connection, app_id).place(version)
            return True if claim(place, overwrite=overwrite, waited=False) is not Claim.WAIT else None

        left = max(0.0, deadline - asyncio.get_running_loop().time())
        await self.log.wait_for(moved, timeout_seconds=left)


def _claimed(place: Place, package_id: UUID, how: Claim) -> Place:
    holder = Holder(package_id, Status.UPLOADING)
    return Place(place.holder, holder) if how is Claim.TAKE_BESIDE else Place(holder, place.beside)


async def _existing(shelf: Shelf, place: Place) -> Existing:
    holder = place.beside or place.holder
    assert holder is not None
    row = await shelf.package(holder.package_id)
    assert row is not None
    return Existing(holder.package_id, row.sha256, await shelf.last_deployment(holder.package_id))
