"""What users ask of packages. Deploy and upload are the real `Submitting`; stored deploys and retries go by the real
rules; rollback has no route yet, so it is said here in the words of `flow.md`, with the real deciders; delete is as in
`api.py`.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from pac.contracts.base import Source, Step
from pac.contracts.errors import Refused
from pac.eventlog import Cause
from pac.packages.domain.again import check_stored, reclaim
from pac.packages.domain.package import PACKAGE, Delete
from pac.packages.domain.submission import SUBMISSION, Submit
from pac.packages.domain.versions import Status
from pac.packages.shelf import NewPackage
from pac.packages.submitting import Existing, VersionTaken

from .memory_log import finished
from .packages_tables import App, Package, Submission, Tables, nothing
from .services import MEBIBYTE, Packages
from .world import Pause, World

SIZE_BYTES = MEBIBYTE + 1  # two credits


@dataclass
class Request:
    """A request that waits for its claim; `work` is where it stands."""

    work: Coroutine[Any, Any, None]


@dataclass
class Users:
    """`answers`: what the client of each submission was told last: None while its request waits."""

    world: World
    packages: Packages
    account_of: dict[UUID, UUID]
    rollback_waits: bool
    delete_looks: bool = True
    answers: dict[UUID, str | None] = field(default_factory=dict)
    waiting: dict[int, Request] = field(default_factory=dict)
    taken: list[Existing] = field(default_factory=list)
    rollbacks: list[tuple[UUID, UUID]] = field(default_factory=list)  # (app, target), not looked at yet
    deleted: list[UUID] = field(default_factory=list)
    deleted_now: list[UUID] = field(default_factory=list)  # not looked at yet
    _requests: int = 0

    @property
    def tables(self) -> Tables:
        return self.packages.tables

    # ---- deploy and upload: the real code --------------------------------------------------------------------------

    def deploy(self, app_id: UUID, version: str, *, overwrite: bool) -> None:
        self._begin(self._deploy(app_id, version, overwrite=overwrite))

    def upload(self, app_id: UUID, version: str) -> None:
        self._begin(self._upload(app_id, version))

    def resume(self, number: int) -> None:
        """A commit woke the request, or its time is over."""
        self._step(number, self.waiting.pop(number))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._requests += 1
        self._step(self._requests, Request(work))

    def _step(self, number: int, request: Request) -> None:
        try:
            paused = request.work.send(None)
        except StopIteration:
            return
        assert isinstance(paused, Pause)
        self.waiting[number] = request

    async def _deploy(self, app_id: UUID, version: str, *, overwrite: bool) -> None:
        new, deployment_id = self._new_package(app_id, version), self.world.fresh("deployment")
        submitting = self.packages.submitting
        existing = await submitting.existing(app_id, version, overwrite=overwrite)
        if existing is not None:
            self._refused(existing)
            return
        assert new.staging_key is not None
        self.tables.objects[new.staging_key] = True
        try:
            await submitting.submit(
                new, deployment_id, overwrite=overwrite, environment=None, cause=Cause("user", deployment_id)
            )
        except VersionTaken as taken:
            self._refused(taken.existing)
        except Refused as refused:
            self.world.tell(f"   refused: {refused.code}")
        else:
            self.answers[deployment_id] = None

    async def _upload(self, app_id: UUID, version: str) -> None:
        new = replace(self._new_package(app_id, version), staging_key=None)
        existing = await self.packages.submitting.existing(app_id, version, overwrite=False)
        if existing is not None:
            self._refused(existing)
            return
        self.tables.objects[new.object_key] = True
        try:
            cause = Cause("user", new.package_id)
            await self.packages.submitting.upload(new, described={}, cause=cause, locks=(), then=nothing)
        except VersionTaken as taken:
            self._refused(taken.existing)
        except Refused as refused:
            self.world.tell(f"   refused: {refused.code}")

    def _refused(self, existing: Existing) -> None:
        self.world.tell(f"   400 Version already exists: {existing.package_id}")
        self.taken.append(existing)

    def _new_package(self, app_id: UUID, version: str) -> NewPackage:
        package_id = self.world.fresh("package")
        return NewPackage(
            package_id=package_id,
            account_id=self.account_of[app_id],
            app_id=app_id,
            version=version,
            sha256=f"{package_id.int:064x}",
            size_bytes=SIZE_BYTES,
            object_key=f"packages/{package_id}",
            staging_key=f"staging/{package_id}",
            created_at=self.world.now,
        )

    # ---- the waiting request: as `_decided` in packages' `deploy.py` ------------------------------------------------

    def answerable(self) -> list[UUID]:
        rows = self.tables.submissions
        return [
            deployment_id
            for deployment_id, answer in self.answers.items()
            if answer is None and (rows[deployment_id].decision != "undecided" or not rows[deployment_id].open)
        ]

    def answer(self, deployment_id: UUID) -> None:
        row = self.tables.submissions[deployment_id]
        self.answers[deployment_id] = "402" if row.decision == "rejected" else f"202 {row.decision}"
        self.world.tell(f"   {deployment_id} is answered {self.answers[deployment_id]}")

    def answer_late(self, deployment_id: UUID) -> None:
        """Ten seconds are over, or the relay is behind: durable, not decided."""
        self.answers[deployment_id] = "202 undecided"

    # ---- what has no route yet ---------------------------------------------------------------------------------------

    def usable(self) -> list[UUID]:
        usable = (Status.STORED, Status.SUPERSEDED)
        return [row.package_id for row in self.tables.packages.values() if row.status in usable]

    def deploy_stored(self, package_id: UUID) -> None:
        row = self.tables.packages[package_id]
        if not self._app(row.app_id).deleted:
            finished(self._deploy_stored(row))

    async def _deploy_stored(self, row: Package) -> None:
        try:
            check_stored(await self.tables.shelf(row.app_id).holder(row.package_id))
        except Refused as refused:
            self.world.tell(f"   refused: {refused.code}")
        else:
            await self._submit(row, Source.STORED)

    def retry(self, deployment_id: UUID) -> None:
        """Of one that ended without a release: takes the version again if it is free."""
        before = self.tables.submissions[deployment_id]
        row = self.tables.packages[before.package_id]
        if not self._app(row.app_id).deleted:
            finished(self._retry(row, completed=before.completed_at is not None))

    async def _retry(self, row: Package, *, completed: bool) -> None:
        shelf = self.tables.shelf(row.app_id)
        package, place = await shelf.holder(row.package_id), await shelf.place(row.version)
        try:
            taken = reclaim(package, place, completed=completed, stored=Step.UPLOAD_TO_S3.value in row.done)
        except Refused as refused:
            self.world.tell(f"   refused: {refused.code}")
            return
        if taken.place is not None:
            await shelf.put(row.version, taken.place)
        if taken.status is not None:
            await shelf.change(row.package_id, status=taken.status, withdrawn_at=None)
        await self._submit(self.tables.packages[row.package_id], Source.RETRY)

    def rollback(self, app_id: UUID) -> None:
        """To the release before the current one. Refused (409) while an end may not have been heard."""
        mine = [row for row in self.tables.submissions.values() if row.app_id == app_id]
        if self._app(app_id).deleted or (self.rollback_waits and any(row.open for row in mine)):
            return
        releases = sorted((number, of) for (app, number), of in self.tables.releases.items() if app == app_id)
        if len(releases) < 2:
            return
        target = releases[-2][1]
        self.rollbacks.append((app_id, target))
        row = self.tables.packages[self.tables.submissions[target].package_id]
        if row.status in (Status.STORED, Status.SUPERSEDED):
            finished(self._submit(row, Source.ROLLBACK))

    async def _submit(self, row: Package, source: Source) -> None:
        deployment_id = self.world.fresh("deployment")
        log, shelf = self.packages.log, self.tables.shelf(row.app_id)
        async with log.transaction(SUBMISSION.stream(deployment_id), cause=Cause("user", deployment_id)) as tx:
            no = await shelf.next_no()
            await shelf.open_submission(
                deployment_id=deployment_id,
                package_id=row.package_id,
                account_id=row.account_id,
                version=row.version,
                no=no,
                source=source.value,
                queued_at=self.world.now,
            )
            command = Submit(
                deployment_id=deployment_id,
                package_id=row.package_id,
                account_id=row.account_id,
                agent_app_id=row.app_id,
                package_version=row.version,
                sha256=row.sha256,
                size_bytes=row.size_bytes,
                object_key=row.staging_key or row.object_key,
                source=source,
                no=no,
                at=self.world.now,
                done=tuple(Step(step) for step in row.done),
            )
            await tx.decide(SUBMISSION, deployment_id, command)
        self.answers[deployment_id] = None

    # ---- delete, as in packages' `api.py` ----------------------------------------------------------------------------

    def delete(self, package_id: UUID) -> None:
        finished(self._delete(self.tables.packages[package_id]))

    async def _delete(self, row: Package) -> None:
        shelf, package_id = self.tables.shelf(row.app_id), row.package_id
        package = await shelf.holder(package_id)
        current = self._app(row.app_id).current_package_id == package_id
        if package.status is Status.DELETED or (self.delete_looks and (package.users or current)):
            return
        async with self.packages.log.transaction(PACKAGE.stream(package_id), cause=Cause("user", package_id)) as tx:
            await shelf.put(row.version, (await shelf.place(row.version)).without(package_id))
            await shelf.change(package_id, status=Status.DELETED)
            await tx.decide(PACKAGE, package_id, Delete(package_id, row.account_id, row.app_id, self.world.now))
        self.deleted.append(package_id)
        self.deleted_now.append(package_id)

    def _app(self, app_id: UUID) -> App:
        return self.tables.apps.get(app_id, App())

    def submissions_of(self, package_id: UUID) -> list[Submission]:
        return [row for row in self.tables.submissions.values() if row.package_id == package_id]
