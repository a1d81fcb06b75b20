"""POST …/packages and …/packages/deploy: everything that comes in with bytes."""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from aiohttp import web
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import SealedEnvironment
from pac.contracts.bodies.packages import (
    AcceptedDeployment,
    AcceptedPackage,
    AcceptedReply,
    PackageReply,
    Tracking,
)
from pac.contracts.errors import ERRORS, ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.contracts.packages import Problem
from pac.eventlog import EventLog
from pac.packages.checker import Checker, Report
from pac.packages.described import described, dumped
from pac.packages.environment import Sealer, sealed_key
from pac.packages.form import Form, missing_file
from pac.packages.leftovers import Leftovers
from pac.packages.queries import Queries
from pac.packages.shelf import NewPackage, submission_row
from pac.packages.submitting import Existing, Submitted, Submitting, VersionTaken
from pac.packages.uploads import Received, StagedFile, Uploads
from pac.packages.views import package_view
from pac.packages.work import promote
from pac.servicekit.clock import Clock
from pac.servicekit.http import caller_of, cause_of, reply, stopping_of, uuid_in
from pac.servicekit.objects import Objects

logger = structlog.get_logger(__name__)
HANG_SECONDS = 0.5
VERSION_EXISTS = Problem(
    code="version_exists", message="Version already exists", hint=ERRORS[ErrorCode.VERSION_EXISTS].hint
)


@dataclass(frozen=True)
class Waiting:
    """How long a deploy waits for billing's decision, and what it does not wait out."""

    decision_seconds: float = 10.0
    backlog_seconds: float = 2.0


@dataclass(frozen=True)
class Checked:
    """A request without a fault."""

    account_id: UUID
    app_id: UUID
    form: Form
    file: StagedFile
    version: str
    report: Report
    signature: str


@dataclass(frozen=True)
class Deploy:
    log: EventLog
    queries: Queries
    uploads: Uploads
    checker: Checker
    submitting: Submitting
    objects: Objects
    leftovers: Leftovers
    sealer: Sealer
    waiting: Waiting
    public_url: str
    clock: Clock

    async def post_package(self, request: web.Request) -> web.Response:
        """Stores a package under a version, for a later deployment; validated whole before the answer."""
        caller, app_id = await self._caller(request)
        async with self.uploads.receive(request) as received:
            checked = await self._checked(caller, app_id, received, whole=True, overwrite=False)
            if received.form.environment or received.form.force_overwrite:
                name = "environment" if received.form.environment else "force_overwrite"
                raise _faulty([_only_for_deploy(name)], None, self.public_url, None)
            new = self._new_package(checked)
            await promote(self.objects, checked.file.key, new.object_key, new.size_bytes)
            stored = replace(new, staging_key=None)
            try:
                await self.submitting.upload(stored, described=described(checked.report), cause=cause_of(request))
            except VersionTaken as taken:
                raise _faulty([VERSION_EXISTS], taken.existing, self.public_url, checked.file.sha256) from None
        found = await self.queries.package(checked.account_id, app_id, new.package_id)
        row = found.rows[0]
        s3_url = self.objects.url(row.object_key)
        view = package_view(row, s3_url=s3_url, notes=found.notes.get(row.package_id), current=False)
        logger.info("package_uploaded", package_id=str(new.package_id), size_bytes=new.size_bytes)
        return reply(PackageReply(package=view), status=201)

    async def post_deploy(self, request: web.Request) -> web.Response:
        """202 when the package is durable and billing has not refused; 402 when it has; 400 with every fault."""
        if "dry_run" in request.query:
            raise Refused(ErrorCode.INVALID_REQUEST, details=["dry_run is not available yet"])
        caller, app_id = await self._caller(request)
        async with self.uploads.receive(request) as received:
            force = received.form.force_overwrite
            checked = await self._checked(caller, app_id, received, whole=False, overwrite=force)
            deployment_id, new = uuid4(), self._new_package(checked)
            environment = await self._sealed(checked, deployment_id)
            received.keep_staged = True
            try:
                submitted = await self.submitting.submit(
                    new, deployment_id, overwrite=force, environment=environment, cause=cause_of(request)
                )
            except (VersionTaken, Refused) as refused:
                received.keep_staged = False
                if environment is not None:
                    await self.leftovers.remove(environment.object_key)
                if isinstance(refused, VersionTaken):
                    raise _faulty([VERSION_EXISTS], refused.existing, self.public_url, checked.file.sha256) from None
                raise
        logger.info("package_submitted", deployment_id=str(deployment_id), size_bytes=new.size_bytes, no=submitted.no)
        await self._decided(submitted, request)
        return reply(self._accepted(submitted, checked, new.created_at), status=202)

    # ---- the waiting request -----------------------------------------------------------------------------------------

    async def _decided(self, submitted: Submitted, request: web.Request) -> None:
        """Returns for a 202: held, ended otherwise, or not known in time. Refused (402) when credits do not suffice."""
        looking = asyncio.create_task(self._look(submitted.deployment_id))
        stopping = asyncio.create_task(stopping_of(request).wait())
        try:
            # The look ends by itself at its time, unless Postgres hangs in the middle of it.
            longest = self.waiting.decision_seconds + HANG_SECONDS
            await asyncio.wait([looking, stopping], timeout=longest, return_when=asyncio.FIRST_COMPLETED)
            row = looking.result() if looking.done() else None
        finally:
            for task in (looking, stopping):
                task.cancel()
            await asyncio.wait([looking, stopping], timeout=HANG_SECONDS)
        if row is not None and row.decision == "rejected":
            raise Refused(
                ErrorCode.INSUFFICIENT_CREDITS,
                required=row.required,
                available=row.available,
                deployment_id=str(submitted.deployment_id),
            )

    async def _look(self, deployment_id: UUID) -> Row[Any] | None:
        async def probe(connection: AsyncConnection) -> Row[Any] | None:
            row = await submission_row(connection, deployment_id)
            assert row is not None
            if row.decision != "undecided" or not row.open:
                return row
            backlog = await self.log.relay_backlog_seconds()
            return row if backlog > self.waiting.backlog_seconds else None

        return await self.log.wait_for(probe, timeout_seconds=self.waiting.decision_seconds)

    def _accepted(self, submitted: Submitted, checked: Checked, queued_at: datetime) -> AcceptedReply:
        return AcceptedReply(
            deployment=AcceptedDeployment(
                id=submitted.deployment_id,
                queued_at=queued_at,
                estimated_duration_seconds=submitted.estimated_seconds,
            ),
            package=AcceptedPackage(
                id=submitted.package_id,
                version=checked.version,
                size_bytes=checked.file.size_bytes,
                sha256=checked.file.sha256,
                warnings=[dumped(warning) for warning in checked.report.warnings],
            ),
            tracking=Tracking(
                status_url=status_url(self.public_url, submitted.deployment_id),
                webhook_url=f"{self.public_url}/api/agent-apps/{checked.app_id}/webhooks",
            ),
        )

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
        policy = caller.app.signature_policy
        if policy == "required":
            problems.append(_cannot_verify())
        version = form.version or (report.version if report else None)
        existing = None
        if version is not None and "\x00" not in version:
            existing = await self.submitting.existing(app_id, version, overwrite=overwrite)
        if existing is not None:
            problems.append(VERSION_EXISTS)
        if problems or file is None or report is None or version is None:
            raise _faulty(problems, existing, self.public_url, file.sha256 if file else None)
        signature = "none" if form.signature is None else "ignored" if policy == "off" else "unverified"
        return Checked(caller.account_id, app_id, form, file, version, report, signature)

    def _new_package(self, checked: Checked) -> NewPackage:
        return NewPackage(
            package_id=uuid4(),
            account_id=checked.account_id,
            app_id=checked.app_id,
            version=checked.version,
            sha256=checked.file.sha256,
            size_bytes=checked.file.size_bytes,
            object_key=f"packages/{checked.account_id}/{checked.file.sha256}",
            staging_key=checked.file.key,
            created_at=self.clock(),
            signature=checked.signature,
            release_notes=checked.form.release_notes,
        )

    async def _sealed(self, checked: Checked, deployment_id: UUID) -> SealedEnvironment | None:
        """Sealed before it is stored; what it says stays in this process's memory only as long as the request."""
        environment = checked.form.environment
        if not environment:
            return None
        key = sealed_key(deployment_id)
        await self.leftovers.note(key)
        await self.objects.put_bytes(key, self.sealer.seal(environment, deployment_id))
        return self.sealer.described(environment, deployment_id, checked.app_id)


def status_url(public_url: str, deployment_id: UUID) -> str:
    return f"{public_url}/api/deployments/{deployment_id}"


def _cannot_verify() -> Problem:
    return Problem(
        code="signature_not_verifiable",
        message="This app requires a signature, and signatures cannot be verified yet",
        entry="signature",
        hint="Set the app's signature_policy to optional until then.",
    )


def _only_for_deploy(name: str) -> Problem:
    return Problem(code="field_unknown", message=f"Field {name} belongs to a deployment", entry=name)


FORM_CODES = ("field_", "file_missing", "environment_")


def _faulty(problems: list[Problem], existing: Existing | None, public_url: str, sha256: str | None) -> Refused:
    """The specification's body: `details` are sentences, `problems` the same for machines."""
    codes = {problem.code for problem in problems}
    if codes == {VERSION_EXISTS.code}:
        code = ErrorCode.VERSION_EXISTS
    elif all(name.startswith(FORM_CODES) for name in codes):
        code = ErrorCode.INVALID_REQUEST
    else:
        code = ErrorCode.INVALID_PACKAGE
    fields: dict[str, Any] = {
        "details": [problem.message for problem in problems],
        "problems": [dumped(problem) for problem in problems],
    }
    if existing is not None:
        fields["existing"] = _shown(existing, public_url, sha256)
    return Refused(code, **fields)


def _shown(existing: Existing, public_url: str, sha256: str | None) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "package_id": str(existing.package_id),
        "sha256": existing.sha256,
        "same_content": existing.sha256 == sha256,
    }
    if existing.deployment_id is not None:
        shown["deployment_id"] = str(existing.deployment_id)
        shown["status_url"] = status_url(public_url, existing.deployment_id)
    return shown
