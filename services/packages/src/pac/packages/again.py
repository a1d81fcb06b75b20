"""POST …/packages/{id}/deploy and POST /api/deployments/{id}/retry: deployments for which nothing is uploaded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import structlog
from aiohttp import web
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import SealedEnvironment, Source, Step
from pac.contracts.bodies.packages import AcceptedPackage, AcceptedReply, StoredDeploy
from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.packages import PackageSubmitted, Problem
from pac.eventlog import Cause, EventLog, Transaction
from pac.packages.answering import Answering
from pac.packages.domain.again import check_stored, reclaim
from pac.packages.domain.submission import SUBMISSION, Submit
from pac.packages.domain.versions import Status
from pac.packages.durations import estimated_seconds
from pac.packages.environment import Seals
from pac.packages.faults import faulty
from pac.packages.form import long_part, no_text, read_environment
from pac.packages.leftovers import refer_in
from pac.packages.queries import Queries
from pac.packages.shelf import Shelf, app_lock, submission_row
from pac.packages.signatures import check_signed
from pac.packages.submitting import Submitted
from pac.packages.uploads import FIELD_MAX_BYTES
from pac.packages.views import shown_status
from pac.servicekit.clock import Clock
from pac.servicekit.http import account_and_app, body_in, caller_of, cause_of, nothing_in, uuid_in
from pac.servicekit.idempotency import NO_ATTEMPT, Attempt, attempt_of
from pac.servicekit.objects import ObjectMissing, Objects

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Wish:
    """A package once more: why, and what goes with it. `policy`: on signatures, where the gateway has said it."""

    deployment_id: UUID
    source: Source
    at: datetime
    environment: SealedEnvironment | None = None
    billable: bool = True
    force_overwrite: bool = False
    retry_of: UUID | None = None
    policy: str | None = None
    attempt: Attempt = NO_ATTEMPT


@dataclass(frozen=True)
class Again:
    log: EventLog
    queries: Queries
    objects: Objects
    seals: Seals
    answering: Answering
    clock: Clock
    user_wait_seconds: float = 2.0

    # ---- a stored package ----------------------------------------------------------------------------------------

    async def post_stored(self, request: web.Request) -> web.Response:
        """202 or 402 as for an upload: it costs the same. 409 while the package is not stored."""
        account_id, app_id = account_and_app(request)
        package_id = uuid_in(request, "package_id")
        await self.queries.package(account_id, app_id, package_id)
        asked = await body_in(request, StoredDeploy)
        if (known := await self.answering.go_on(request)) is not None:
            return known
        values = _checked(asked)

        async def stored(connection: AsyncConnection) -> bool | None:
            return True if (await Shelf(connection, app_id).holder(package_id)).status is not Status.UPLOADING else None

        await self.log.wait_for(stored, timeout_seconds=self.user_wait_seconds)
        deployment_id = uuid4()
        environment = await self.seals.keep(values, deployment_id, app_id)
        policy = policy_of(request)
        wish = Wish(deployment_id, Source.STORED, self.clock(), environment, policy=policy, attempt=attempt_of(request))
        try:
            accepted = await self._deploy_stored(app_id, package_id, wish, asked.release_notes, cause_of(request))
        except Refused:
            await self.seals.drop(environment)
            raise
        return await self.answering.answer(request, accepted)

    async def _deploy_stored(
        self, app_id: UUID, package_id: UUID, wish: Wish, notes: str | None, cause: Cause
    ) -> AcceptedReply:
        stream = SUBMISSION.stream(wish.deployment_id)
        async with self.log.transaction(stream, cause=cause, locks=[app_lock(app_id)]) as tx:
            shelf = await open_shelf(tx, app_id)
            check_stored(await shelf.holder(package_id))
            row = await shelf.package(package_id)
            assert row is not None
            if notes:
                await shelf.put_notes(package_id, row.account_id, notes)
            if wish.environment is not None:
                await refer_in(tx.connection, wish.environment.object_key)
            return await self.submitted(tx, shelf, row, wish)

    # ---- a deployment that ended without a release -----------------------------------------------------------------

    async def post_retry(self, request: web.Request) -> web.Response:
        """A new deployment of the same package, with the same environment, at the cost of its first try."""
        await nothing_in(request)
        if (known := await self.answering.go_on(request)) is not None:
            return known
        account_id, retried = caller_of(request).account_id, uuid_in(request, "deployment_id")
        before = await self.queries.submission(account_id, retried)
        first = (await self.log.history(SUBMISSION.stream(retried)))[0].event
        assert isinstance(first, PackageSubmitted)

        async def unused(connection: AsyncConnection) -> bool | None:
            return True if not (await Shelf(connection, before.app_id).holder(before.package_id)).users else None

        await self.log.wait_for(unused, timeout_seconds=self.user_wait_seconds)
        wish = Wish(
            uuid4(),
            Source.ROLLBACK if first.source is Source.ROLLBACK else Source.RETRY,  # what it is tried for stays
            self.clock(),
            first.environment,
            billable=first.billable,
            force_overwrite=first.force_overwrite,
            retry_of=retried,
            attempt=attempt_of(request),
        )
        async with self.log.reading() as connection:
            package = await Shelf(connection, before.app_id).package(before.package_id)
        assert package is not None
        has_bytes = await self._has_bytes(package)
        app_id, cause = before.app_id, cause_of(request)
        accepted = await self._retry(app_id, before.package_id, retried, wish, cause, has_bytes=has_bytes)
        return await self.answering.answer(request, accepted)

    async def _retry(
        self, app_id: UUID, package_id: UUID, retried: UUID, wish: Wish, cause: Cause, *, has_bytes: bool
    ) -> AcceptedReply:
        stream = SUBMISSION.stream(wish.deployment_id)
        async with self.log.transaction(stream, cause=cause, locks=[app_lock(app_id)]) as tx:
            shelf = await open_shelf(tx, app_id)
            before, row = await submission_row(tx.connection, retried), await shelf.package(package_id)
            assert before is not None
            assert row is not None
            package, place = await shelf.holder(package_id), await shelf.place(row.version)
            stored = Step.UPLOAD_TO_S3.value in row.done
            taken = reclaim(package, place, completed=before.completed_at is not None, stored=stored)
            if not has_bytes or row.collected_at is not None:
                raise Refused(ErrorCode.BYTES_GONE)
            if taken.place is not None:
                await shelf.put(row.version, taken.place)
            if taken.status is not None:
                await shelf.change(package_id, status=taken.status, withdrawn_at=None)
                row = await shelf.package(package_id)
                assert row is not None
            return await self.submitted(tx, shelf, row, wish)

    async def _has_bytes(self, package: Row[Any]) -> bool:
        try:
            await self.objects.head(package.staging_key or package.object_key)
        except ObjectMissing:
            return False
        return True

    async def submitted(self, tx: Transaction, shelf: Shelf, row: Row[Any], wish: Wish) -> AcceptedReply:
        """What is to be answered is kept with the submission, for another attempt of the same request."""
        await check_signed(shelf, row, wish.policy or await shelf.policy())
        submitted = await _submit(tx, shelf, row, wish)
        source, deployment_id = wish.source.value, str(wish.deployment_id)
        logger.info("package_submitted_again", source=source, deployment_id=deployment_id, no=submitted.no)
        package = AcceptedPackage(
            id=row.package_id,
            version=row.version,
            size_bytes=row.size_bytes,
            status=shown_status(row.status),
            sha256=row.sha256,
            warnings=row.warnings,
            signature=row.signature,
            signed_by=row.signed_by,
        )
        accepted = self.answering.accepted(submitted, row.app_id, package, wish.at)
        await wish.attempt.bind(tx.connection, accepted.model_dump(mode="json"))
        return accepted


async def open_shelf(tx: Transaction, app_id: UUID) -> Shelf:
    shelf = Shelf(tx.connection, app_id)
    if await shelf.is_deleted():
        raise Refused(ErrorCode.NOT_FOUND, "Agent app not found")
    return shelf


async def _submit(tx: Transaction, shelf: Shelf, row: Row[Any], wish: Wish) -> Submitted:
    """Counts a user of the package; steps that it has behind it are not done again."""
    no = await shelf.next_no()
    await shelf.open_submission(
        deployment_id=wish.deployment_id,
        package_id=row.package_id,
        account_id=row.account_id,
        version=row.version,
        no=no,
        source=wish.source.value,
        done=row.done,
        sealed_key=wish.environment.object_key if wish.environment else None,
        queued_at=wish.at,
    )
    command = Submit(
        deployment_id=wish.deployment_id,
        package_id=row.package_id,
        account_id=row.account_id,
        agent_app_id=row.app_id,
        package_version=row.version,
        sha256=row.sha256,
        size_bytes=row.size_bytes,
        object_key=row.staging_key or row.object_key,
        source=wish.source,
        no=no,
        at=wish.at,
        done=tuple(Step(step) for step in row.done),
        environment=wish.environment,
        force_overwrite=wish.force_overwrite,
        billable=wish.billable,
        retry_of=wish.retry_of,
        signed_by=row.signed_by,
        signing_key=row.signing_key,
    )
    await tx.decide(SUBMISSION, wish.deployment_id, command)
    seconds = await estimated_seconds(tx.connection, row.app_id, no)
    return Submitted(wish.deployment_id, row.package_id, no, seconds)


def policy_of(request: web.Request) -> str | None:
    app = caller_of(request).app
    return None if app is None else app.signature_policy


def _checked(asked: StoredDeploy) -> Mapping[str, str]:
    """The environment. Refused with every fault at once; a fault quotes names at most."""
    texts = {"release_notes": asked.release_notes or "", "environment": json.dumps(asked.environment or {})}
    faults: list[Problem] = [
        long_part(name, FIELD_MAX_BYTES) for name, text in texts.items() if len(text.encode()) > FIELD_MAX_BYTES
    ]
    if "\x00" in texts["release_notes"]:
        faults.append(no_text("release_notes"))
    environment, environment_faults = read_environment(texts["environment"])
    faults.extend(environment_faults)
    if faults:
        raise faulty(faults)
    return environment
