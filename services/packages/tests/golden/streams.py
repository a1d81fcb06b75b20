"""What happened to submissions and to a package of its own, for the rows kept beside this."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pac.contracts.base import SealedEnvironment, Source, Step
from pac.contracts.packages import Problem
from pac.contracts.topics import ServiceName
from pac.packages.domain.package import PACKAGE, Delete, Supersede, Upload
from pac.packages.domain.signers import SIGNERS, ReplaceSigners
from pac.packages.domain.submission import (
    SUBMISSION,
    AnswerStep,
    Bad,
    Described,
    Finding,
    Stored,
    Submit,
    Valid,
    Withdraw,
)
from pac.testkit.golden import Story

NOON = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = NOON + timedelta(minutes=2)
OWNER = UUID("5b0f1c52-7f1e-4f6f-9d0e-6a1f4c3b2a10")
AGENT = UUID("c6a3c8f4-20cf-4a2b-8e35-9c1d7a54e011")
DEPLOYMENT = UUID("0d4e9a3b-6f28-4c71-8b5a-e7f1c2d3a415")
BUNDLE = UUID("b2d4f6a8-1c3e-4f50-9274-96b8dafc1e17")
NEWER = UUID("31c9d5e7-8a64-4b0f-92f7-d4e6a1b3c814")
FIRST_TRY = UUID("7c1b9e52-3d4f-4a86-b1c7-52e8f09d6a18")
SHA256 = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
SIGNED_BY = ("52c45059f0c72e1d0b8bc9d3975a926039cce80c", "9b600d03957bcd7c316ccff6a8944bc729d2c318")
CONTENT = f"packages/{OWNER}/{SHA256}"
PROBLEMS = (
    Problem(code="entrypoint_missing", message="entrypoint names no module", entry="agent.yaml", hint="Add it."),
    Problem(code="unsafe_name", message="A name leaves the package"),
)
SEALED = SealedEnvironment(
    object_key=f"sealed/{DEPLOYMENT}",
    key_id="2026-11",
    names=("API_TOKEN",),
    fingerprints={"API_TOKEN": "9c56cc51b374c3ba189210d5b6d4bf57"},
)


def submit(source: Source, done: tuple[Step, ...] = (), environment: SealedEnvironment | None = None) -> Submit:
    return Submit(
        deployment_id=DEPLOYMENT,
        package_id=BUNDLE,
        account_id=OWNER,
        agent_app_id=AGENT,
        package_version="1.4.0",
        sha256=SHA256,
        size_bytes=2_048_000,
        object_key="staging/7d3c",
        source=source,
        no=14,
        at=NOON,
        done=done,
        environment=environment,
        force_overwrite=environment is not None,
    )


def answer(finding: Finding, attempt: int = 1) -> AnswerStep:
    return AnswerStep(DEPLOYMENT, attempt, finding, LATER)


def submission(*commands: object) -> Story:
    return Story(ServiceName.PACKAGES, SUBMISSION, DEPLOYMENT, commands)


STORIES = {
    "submission-described": submission(
        submit(Source.UPLOAD, environment=SEALED),
        answer(Valid()),
        answer(Valid(), 2),
        answer(Stored(CONTENT)),
        answer(Described()),
    ),
    "submission-rejected": submission(
        submit(Source.UPLOAD),
        answer(Bad(PROBLEMS)),
        answer(Valid(), 2),
        Withdraw(DEPLOYMENT, freed=True, at=LATER),
    ),
    "submission-of-a-rollback": submission(
        submit(Source.ROLLBACK, (Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3, Step.GENERATE_METADATA)),
        Withdraw(DEPLOYMENT, freed=False, at=LATER),
    ),
    "submission-of-a-retry": submission(
        replace(
            submit(Source.RETRY, (Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3), SEALED), billable=False, retry_of=FIRST_TRY
        ),
        answer(Described()),
    ),
    "package-superseded": Story(
        ServiceName.PACKAGES,
        PACKAGE,
        BUNDLE,
        (
            Upload(BUNDLE, OWNER, AGENT, "1.4.0", SHA256, 2_048_000, CONTENT, NOON),
            Supersede(BUNDLE, OWNER, AGENT, NEWER, LATER),
        ),
    ),
    "signers-replaced": Story(
        ServiceName.PACKAGES,
        SIGNERS,
        AGENT,
        (
            ReplaceSigners(AGENT, OWNER, frozenset(SIGNED_BY), NOON),
            ReplaceSigners(AGENT, OWNER, frozenset(SIGNED_BY[:1]), LATER),
        ),
    ),
    "package-deleted": Story(ServiceName.PACKAGES, PACKAGE, BUNDLE, (Delete(BUNDLE, OWNER, AGENT, LATER),)),
}
