"""POST …/packages and …/packages/deploy: everything that comes in with bytes."""

from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import structlog
from aiohttp import web
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.bodies.packages import (
    AcceptedPackage,
    AcceptedReply,
    DryRunPackage,
    DryRunReply,
    PackageReply,
)
from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.packages import Problem
from pac.eventlog import EventLog
from pac.packages.answering import Answering
from pac.packages.checker import Checker, Report
from pac.packages.contents import Contents, content_key, refer_to
from pac.packages.described import described, dumped
from pac.packages.environment import Seals
from pac.packages.faults import VERSION_EXISTS, faulty, only_for_deploy
from pac.packages.form import SIGNATURE, Form, missing_file
from pac.packages.queries import Queries
from pac.packages.shelf import NewPackage
from pac.packages.signatures import Judged, Signatures
from pac.packages.submitting import Existing, Submitted, Submitting, VersionTaken
from pac.packages.uploads import Received, StagedFile, Uploads
from pac.packages.views import package_view
from pac.servicekit.clock import Clock
from pac.servicekit.http import caller_of, cause_of, flag_in, reply, uuid_in
from pac.servicekit.idempotency import attempt_of
from pac.servicekit.objects import Objects

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Checked:
    """A request without a fault."""

    account_id: UUID
    app_id: UUID
    form: Form
    file: StagedFile
    version: str
    report: Report
    judged: Judged


@dataclass(frozen=True)
class Deploy:
    log: EventLog
    queries: Queries
    uploads: Uploads
    checker: Checker
    signatures: Signatures
    submitting: Submitting
    objects: Objects
    contents: Contents
    seals: Seals
    answering: Answering
    clock: Clock

    async def post_package(self, request: web.Request) -> web.Response:
        """Stores a package under a version, for a later deployment; validated whole before the answer."""
        caller, app_id = await self._caller(request)
        attempt = attempt_of(request)
        async with self.uploads.receive(request, staged=attempt.is_first) as received:
            await attempt.read(*received.told)
            if attempt.outcome is not None:
                return await self._uploaded(caller, app_id, UUID(str(attempt.outcome["package_id"])))
            checked = await self._checked(caller, app_id, received, whole=True, overwrite=False)
            if received.form.environment or received.form.force_overwrite:
                name = "environment" if received.form.environment else "force_overwrite"
                raise faulty([only_for_deploy(name)])
            new = self._new_package(checked)
            note = await self.contents.promote(checked.file.key, new.object_key, sha256=new.sha256)
            stored = replace(new, staging_key=None)

            async def keep(connection: AsyncConnection) -> None:
                await refer_to(connection, note)
                await attempt.bind(connection, {"package_id": str(new.package_id)})

            try:
                await self.submitting.upload(
                    stored,
                    described=described(checked.report),
                    cause=cause_of(request),
                    locks=[self.contents.lock(stored.object_key)],
                    then=keep,
                )
            except VersionTaken as taken:
                raise self._faulty([VERSION_EXISTS], checked.file, taken.existing) from None
        logger.info("package_uploaded", package_id=str(new.package_id), size_bytes=new.size_bytes)
        return await self._uploaded(caller, app_id, new.package_id)

    async def _uploaded(self, caller: Caller, app_id: UUID, package_id: UUID) -> web.Response:
        assert caller.account_id is not None
        found = await self.queries.package(caller.account_id, app_id, package_id)
        row = found.rows[0]
        s3_url = self.objects.url(row.object_key)
        view = package_view(row, s3_url=s3_url, notes=found.notes.get(row.package_id), current=False)
        return reply(PackageReply(package=view), status=201)

    async def post_deploy(self, request: web.Request) -> web.Response:
        """202 when the package is durable and billing has not refused; 402 when it has; 400 with every fault."""
        is_dry = flag_in(request, "dry_run")
        caller, app_id = await self._caller(request)
        if is_dry:
            return await self._dry_run(request, caller, app_id)
        attempt = attempt_of(request)
        async with self.uploads.receive(request, staged=attempt.is_first) as received:
            await attempt.read(*received.told)
            if (known := await self.answering.go_on(request)) is not None:
                return known
            force = received.form.force_overwrite
            checked = await self._checked(caller, app_id, received, whole=False, overwrite=force)
            deployment_id, new = uuid4(), self._new_package(checked)
            environment = await self.seals.keep(checked.form.environment, deployment_id, app_id)
            received.keep_staged = True

            def accepted(submitted: Submitted) -> AcceptedReply:
                return self.answering.accepted(submitted, app_id, _package(checked, new.package_id), new.created_at)

            async def keep(connection: AsyncConnection, submitted: Submitted) -> None:
                await attempt.bind(connection, accepted(submitted).model_dump(mode="json"))

            try:
                submitted = await self.submitting.submit(
                    new, deployment_id, overwrite=force, environment=environment, cause=cause_of(request), then=keep
                )
            except (VersionTaken, Refused) as refused:
                received.keep_staged = False
                await self.seals.drop(environment)
                if isinstance(refused, VersionTaken):
                    raise self._faulty([VERSION_EXISTS], checked.file, refused.existing) from None
                raise
        logger.info("package_submitted", deployment_id=str(deployment_id), size_bytes=new.size_bytes, no=submitted.no)
        return await self.answering.answer(request, accepted(submitted))

    async def _dry_run(self, request: web.Request, caller: Caller, app_id: UUID) -> web.Response:
        """Every check of a deploy, the whole validation included; nothing is stored, noted or appended.

        What it costs, billing knows: the gateway adds it.
        """
        async with self.uploads.receive(request, staged=False) as received:
            await attempt_of(request).read(*received.told)
            force = received.form.force_overwrite
            checked = await self._checked(caller, app_id, received, whole=True, overwrite=force)
        package = DryRunPackage(
            version=checked.version,
            size_bytes=checked.file.size_bytes,
            sha256=checked.file.sha256,
            signature=checked.judged.verdict,
            signed_by=checked.judged.signed_by,
        )
        seconds = await self.queries.estimated_seconds(app_id)
        warnings = [dumped(warning) for warning in checked.report.warnings]
        return reply(DryRunReply(package=package, warnings=warnings, estimated_duration_seconds=seconds))

    # ---- what was asked for ------------------------------------------------------------------------------------------

    async def _caller(self, request: web.Request) -> tuple[Caller, UUID]:
        """Before anything of the body: whose app it is, and that it is not deleted."""
        caller, app_id = caller_of(request), uuid_in(request, "app_id")
        if caller.account_id is None or caller.app is None or caller.app.id != app_id:
            raise Refused(ErrorCode.NOT_FOUND, "Agent app not found")
        if await self.queries.app_is_deleted(app_id):
            raise Refused(ErrorCode.NOT_FOUND, "Agent app not found")
        return caller, app_id

    async def _checked(
        self, caller: Caller, app_id: UUID, received: Received, *, whole: bool, overwrite: bool
    ) -> Checked:
        """All faults at once: of the form, of the package, of the signature and of the version."""
        form, file = received.form, received.file
        assert caller.account_id is not None
        assert caller.app is not None
        problems, report = list(form.faults), None
        if file is None:
            problems.append(missing_file())
        else:
            check = self.checker.verify if whole else self.checker.inspect
            report = await check(file.path, form.version)
            problems.extend(report.problems)
        judged = Judged()
        if SIGNATURE not in {fault.entry for fault in form.faults}:
            judged = await self.signatures.judge(form.signature, file.path if file else None, caller.app)
        problems.extend(judged.problems)
        version = form.version or (report.version if report else None)
        existing = None
        if version is not None and "\x00" not in version:
            existing = await self.submitting.existing(app_id, version, overwrite=overwrite)
        if existing is not None:
            problems.append(VERSION_EXISTS)
        if problems or file is None or report is None or version is None:
            raise self._faulty(problems, file, existing)
        return Checked(caller.account_id, app_id, form, file, version, report, judged)

    def _faulty(self, problems: list[Problem], file: StagedFile | None, existing: Existing | None) -> Refused:
        return faulty(problems, existing, self.answering.public_url, file.sha256 if file else None)

    def _new_package(self, checked: Checked) -> NewPackage:
        return NewPackage(
            package_id=uuid4(),
            account_id=checked.account_id,
            app_id=checked.app_id,
            version=checked.version,
            sha256=checked.file.sha256,
            size_bytes=checked.file.size_bytes,
            object_key=content_key(checked.account_id, checked.file.sha256),
            staging_key=checked.file.key,
            created_at=self.clock(),
            signature=checked.judged.verdict,
            signed_by=checked.judged.signed_by,
            signing_key=checked.judged.signing_key,
            release_notes=checked.form.release_notes,
        )


def _package(checked: Checked, package_id: UUID) -> AcceptedPackage:
    return AcceptedPackage(
        id=package_id,
        version=checked.version,
        size_bytes=checked.file.size_bytes,
        sha256=checked.file.sha256,
        warnings=[dumped(warning) for warning in checked.report.warnings],
        signature=checked.judged.verdict,
        signed_by=checked.judged.signed_by,
    )
