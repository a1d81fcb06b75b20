"""What packages may say about one deployment, on `submission-<deployment>`: an answer is owed per (step, attempt)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import assert_never
from uuid import UUID

from pac.contracts.base import SealedEnvironment, Source, Step
from pac.contracts.packages import (
    PackageDescribed,
    PackageRejected,
    PackageStored,
    PackageSubmitted,
    PackageValidated,
    PackageWithdrawn,
    Problem,
    SubmissionEvent,
)
from pac.eventlog.types import Decider, TooEarly

OWN_STEPS = (Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3, Step.GENERATE_METADATA)


@dataclass(frozen=True)
class Submission:
    """`rejected` is final: every later attempt hears the same problems."""

    known: bool = False
    closed: bool = False
    account_id: UUID | None = None
    package_id: UUID | None = None
    rejected: tuple[Problem, ...] | None = None
    answered: frozenset[tuple[Step, int]] = frozenset()


@dataclass(frozen=True)
class Submit:
    deployment_id: UUID
    package_id: UUID
    account_id: UUID
    agent_app_id: UUID
    package_version: str
    sha256: str
    size_bytes: int
    object_key: str
    source: Source
    no: int
    at: datetime
    done: tuple[Step, ...] = ()
    environment: SealedEnvironment | None = None
    force_overwrite: bool = False
    billable: bool = True
    retry_of: UUID | None = None
    signed_by: str | None = None
    signing_key: str | None = None


@dataclass(frozen=True)
class Valid:
    pass


@dataclass(frozen=True)
class Bad:
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class Stored:
    object_key: str


@dataclass(frozen=True)
class Described:
    pass


Finding = Valid | Bad | Stored | Described


@dataclass(frozen=True)
class AnswerStep:
    """The work of a step is done, now or long ago: this attempt is owed an answer with its number."""

    deployment_id: UUID
    attempt: int
    finding: Finding
    at: datetime


@dataclass(frozen=True)
class Withdraw:
    deployment_id: UUID
    freed: bool
    at: datetime


SubmissionCommand = Submit | AnswerStep | Withdraw


def step_of(finding: Finding) -> Step:
    match finding:
        case Valid() | Bad():
            return Step.VALIDATE_PACKAGE
        case Stored():
            return Step.UPLOAD_TO_S3
        case Described():
            return Step.GENERATE_METADATA
        case _:
            assert_never(finding)


def decide_submission(now: Submission, command: SubmissionCommand) -> Sequence[SubmissionEvent]:
    match command:
        case Submit():
            return [] if now.known else [_submitted(command)]
        case AnswerStep() | Withdraw() if now.account_id is None or now.package_id is None:
            raise TooEarly(f"submission {command.deployment_id} is not known yet")
        case AnswerStep() | Withdraw() if now.closed:
            return []
        case AnswerStep(attempt=attempt, finding=finding):
            if (step_of(finding), attempt) in now.answered:
                return []
            return _answer(command, now.rejected, now.account_id, now.package_id)
        case Withdraw(deployment_id, freed, at):
            return [
                PackageWithdrawn(
                    account_id=now.account_id,
                    at=at,
                    deployment_id=deployment_id,
                    package_id=now.package_id,
                    freed=freed,
                )
            ]
        case _:
            assert_never(command)


def _submitted(command: Submit) -> PackageSubmitted:
    return PackageSubmitted(
        account_id=command.account_id,
        at=command.at,
        deployment_id=command.deployment_id,
        package_id=command.package_id,
        agent_app_id=command.agent_app_id,
        package_version=command.package_version,
        sha256=command.sha256,
        size_bytes=command.size_bytes,
        object_key=command.object_key,
        source=command.source,
        billable=command.billable and command.source is not Source.ROLLBACK,
        no=command.no,
        done=command.done,
        environment=command.environment,
        force_overwrite=command.force_overwrite,
        retry_of=command.retry_of,
        signed_by=command.signed_by,
        signing_key=command.signing_key,
    )


def _answer(
    command: AnswerStep, before: tuple[Problem, ...] | None, account_id: UUID, package_id: UUID
) -> Sequence[SubmissionEvent]:
    fields = {
        "account_id": account_id,
        "at": command.at,
        "deployment_id": command.deployment_id,
        "package_id": package_id,
        "attempt": command.attempt,
    }
    match command.finding:
        case Valid() | Bad() if before is not None:
            return [PackageRejected.model_validate({**fields, "problems": before})]
        case Stored() | Described() if before is not None:
            return []  # nothing follows a rejection: the hub is ending the deployment
        case Valid():
            return [PackageValidated.model_validate(fields)]
        case Bad(problems):
            return [PackageRejected.model_validate({**fields, "problems": problems})]
        case Stored(object_key):
            return [PackageStored.model_validate({**fields, "object_key": object_key})]
        case Described():
            return [PackageDescribed.model_validate(fields)]
        case _:
            assert_never(command.finding)


def evolve_submission(now: Submission, event: SubmissionEvent) -> Submission:
    match event:
        case PackageSubmitted():
            return Submission(known=True, account_id=event.account_id, package_id=event.package_id)
        case PackageRejected(problems=problems):
            answered = now.answered | {(event.step, event.attempt)}
            return replace(now, rejected=problems, answered=answered)
        case PackageValidated() | PackageStored() | PackageDescribed():
            return replace(now, answered=now.answered | {(event.step, event.attempt)})
        case PackageWithdrawn():
            return replace(now, closed=True)
        case _:
            assert_never(event)


SUBMISSION: Decider[Submission, SubmissionCommand, SubmissionEvent] = Decider(
    "submission", Submission(), decide_submission, evolve_submission
)
