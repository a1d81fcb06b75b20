"""The work of the three steps. Each may run twice, or after its deployment has ended: that changes nothing."""

import os
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never
from uuid import UUID

import structlog
from sqlalchemy import Row

from pac.contracts.base import Step
from pac.eventlog import EventLog, Job
from pac.packages.checker import Checker, Report
from pac.packages.contents import Contents, refer_to
from pac.packages.described import described, dumped
from pac.packages.domain.submission import SUBMISSION, AnswerStep, Bad, Described, Finding, Stored, Valid
from pac.packages.domain.versions import Status
from pac.packages.leftovers import Leftovers, note_in, remove_file
from pac.packages.orders import Order, known_finding
from pac.packages.shelf import Shelf, app_lock
from pac.servicekit.clock import Clock
from pac.servicekit.objects import Objects

logger = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Work:
    log: EventLog
    objects: Objects
    contents: Contents
    leftovers: Leftovers
    checker: Checker
    temp_dir: Path
    clock: Clock

    async def handle(self, job: Job) -> None:
        """One order. OSError and everything unforeseen are tried again; only the hub's deadline gives up."""
        order = Order.read(job.payload)
        async with self.log.reading() as connection:
            shelf = Shelf(connection, order.app_id)
            submission = await shelf.submission(order.deployment_id)
            package = await shelf.package(submission.package_id) if submission is not None and submission.open else None
        if package is None:
            async with self.log.transaction(cause=order.cause) as tx:
                await job.done(tx)  # the deployment has ended: nobody waits for this
            return
        finding, values = known_finding(package, order.step), dict[str, Any]()
        if finding is None:
            finding, values = await self._done(order.step, package)
        unstaged = await self._answer(job, order, finding, values)
        if unstaged is not None:
            with suppress(OSError):  # noted with the answer: the sweep finds what is left
                await self.leftovers.remove(unstaged)
        logger.info("step_answered", deployment_id=str(order.deployment_id), step=order.step, attempt=order.attempt)

    async def _done(self, step: Step, package: Row[Any]) -> tuple[Finding, dict[str, Any]]:
        """Does the work of the step; gives what was found and what the package's row says from then on."""
        match step:
            case Step.VALIDATE_PACKAGE:
                report = await self._verified(package)
                if report.problems:
                    problems = [dumped(problem) for problem in report.problems]
                    return Bad(report.problems), {"status": Status.REJECTED, "problems": problems}
                return Valid(), described(report)
            case Step.UPLOAD_TO_S3:
                key, sha256 = package.object_key, package.sha256
                note = await self.contents.promote(package.staging_key, key, sha256=sha256)
                return Stored(key), {"status": Status.STORED, "staging_key": None, "note": note}
            case Step.GENERATE_METADATA:
                # Validation has read every byte already and left its findings; else they are looked for again.
                complete = package.metadata is not None and package.manifest is not None
                return Described(), {} if complete else described(await self._verified(package))
            case Step.NOTIFY_RUNTIME | Step.FINALIZE:
                raise ValueError(f"{step} is not a step of packages")
            case _:
                assert_never(step)

    async def _answer(self, job: Job, order: Order, finding: Finding, values: dict[str, Any]) -> str | None:
        """Work, answer and the end of the job, in one transaction. Gives the staged object that is not needed now."""
        stream, locks = SUBMISSION.stream(order.deployment_id), [app_lock(order.app_id)]
        unstaged: str | None = None
        note: UUID | None = values.pop("note", None)
        if note is not None and isinstance(finding, Stored):
            locks.append(self.contents.lock(finding.object_key))
        async with self.log.transaction(stream, cause=order.cause, locks=locks) as tx:
            await job.done(tx)
            if note is not None:
                await refer_to(tx.connection, note)
            shelf = Shelf(tx.connection, order.app_id)
            submission = await shelf.submission(order.deployment_id)
            assert submission is not None
            package = await shelf.package(submission.package_id)
            assert package is not None
            known = known_finding(package, order.step)
            if submission.open and known is None and values.get("status") == Status.REJECTED:
                await shelf.change(package.package_id, **values)
            elif submission.open and known is None:
                if package.status != Status.UPLOADING:
                    values.pop("status", None)  # superseded meanwhile: the bytes are there all the same
                unstaged = package.staging_key if "staging_key" in values else None
                await shelf.change(package.package_id, done=[*package.done, order.step.value], **values)
                if unstaged is not None:
                    await note_in(tx.connection, unstaged, self.clock())
            command = AnswerStep(order.deployment_id, order.attempt, known or finding, self.clock())
            await tx.decide(SUBMISSION, order.deployment_id, command)
        return unstaged

    async def _verified(self, package: Row[Any]) -> Report:
        stored = Step.UPLOAD_TO_S3.value in package.done
        async with self._downloaded(package.object_key if stored else package.staging_key, package.sha256) as path:
            return await self.checker.verify(path)

    @asynccontextmanager
    async def _downloaded(self, key: str, sha256: str) -> AsyncIterator[Path]:
        """Raises ObjectMissing or ObjectChanged: our fault, never a verdict on the package."""
        descriptor, name = tempfile.mkstemp(prefix="step-", suffix=".apkg", dir=self.temp_dir)
        os.close(descriptor)
        path = Path(name)
        try:
            await self.objects.get_to_file(key, path, sha256=sha256)
            yield path
        finally:
            remove_file(path)
