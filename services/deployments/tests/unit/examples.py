"""One deployment's events and commands, ready to be put in any order."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pac.contracts.base import Outcome, SealedEnvironment, Source, Step
from pac.contracts.deployments import (
    DeploymentAborted,
    DeploymentCompleted,
    DeploymentEvent,
    DeploymentFunded,
    DeploymentQueued,
    DeploymentStarted,
    StepCompleted,
    StepFailed,
    StepResumed,
    StepStarted,
    StepWaiting,
)
from pac.contracts.packages import PackageSubmitted
from pac.deployments.domain import Policy, decider

ID = UUID(int=1)
ACCOUNT = UUID(int=2)
APP = UUID(int=3)
PACKAGE = UUID(int=4)
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=10)
POLICY = Policy()
DEPLOYMENT = decider(POLICY)
ENVIRONMENT = SealedEnvironment(object_key="sealed/1", key_id="k", names=("TOKEN",), fingerprints={"TOKEN": "f"})
STAGED, CONTENT = "staging/1", "sha256/aa"
IDS: dict[str, Any] = {"deployment_id": ID, "account_id": ACCOUNT}
SUBMITTED = PackageSubmitted(
    **IDS,
    at=NOON,
    package_id=PACKAGE,
    agent_app_id=APP,
    package_version="1.2.0",
    sha256="a" * 64,
    size_bytes=2048000,
    object_key=STAGED,
    source=Source.UPLOAD,
    no=7,
    environment=ENVIRONMENT,
)


def queued(done: tuple[Step, ...] = (), source: Source = Source.UPLOAD) -> DeploymentQueued:
    return DeploymentQueued(
        **IDS,
        at=NOON,
        agent_app_id=APP,
        package_id=PACKAGE,
        package_version="1.2.0",
        sha256="a" * 64,
        size_bytes=2048000,
        object_key=STAGED,
        source=source,
        billable=True,
        no=7,
        done=done,
        environment=ENVIRONMENT,
    )


def funded() -> DeploymentFunded:
    return DeploymentFunded(**IDS, at=NOON, due_at=NOON + timedelta(hours=24))


def started(release: int = 3, *, pinned: bool = False) -> DeploymentStarted:
    return DeploymentStarted(**IDS, at=NOON, agent_app_id=APP, release=release, pinned=pinned)


def step_started(step: Step, attempt: int = 1, at: datetime = NOON, object_key: str | None = None) -> StepStarted:
    behind = step in (Step.GENERATE_METADATA, Step.NOTIFY_RUNTIME, Step.FINALIZE)
    return StepStarted(
        **IDS,
        at=at,
        step=step,
        attempt=attempt,
        due_at=POLICY.due(step, attempt, at),
        agent_app_id=APP,
        package_id=PACKAGE,
        package_version="1.2.0",
        sha256="a" * 64,
        size_bytes=2048000,
        object_key=object_key or (CONTENT if behind else STAGED),
        release=3,
        environment=ENVIRONMENT if step is Step.NOTIFY_RUNTIME else None,
    )


def step_completed(step: Step, attempt: int = 1, at: datetime = NOON) -> StepCompleted:
    key = CONTENT if step is Step.UPLOAD_TO_S3 else None
    return StepCompleted(**IDS, at=at, step=step, attempt=attempt, object_key=key)


def step_failed(
    step: Step, attempt: int, reason: str, *, next_at: datetime | None, retriable: bool = True
) -> StepFailed:
    return StepFailed(**IDS, at=LATER, step=step, attempt=attempt, reason=reason, retriable=retriable, next_at=next_at)


def step_waiting(since: datetime = NOON, attempt: int = 1) -> StepWaiting:
    return StepWaiting(**IDS, at=LATER, step=Step.NOTIFY_RUNTIME, attempt=attempt, since=since)


def step_resumed(attempt: int = 1) -> StepResumed:
    return StepResumed(**IDS, at=LATER, step=Step.NOTIFY_RUNTIME, attempt=attempt)


def aborted(
    outcome: Outcome = Outcome.CANCELLED,
    code: str = "cancelled",
    error: str = "Deployment was cancelled",
    *,
    at: datetime = LATER,
    step: Step | None = None,
    details: tuple[str, ...] = (),
    required: int | None = None,
    available: int | None = None,
) -> DeploymentAborted:
    assert outcome is not Outcome.SUCCEEDED
    return DeploymentAborted(
        **IDS,
        at=at,
        agent_app_id=APP,
        package_id=PACKAGE,
        outcome=outcome,
        code=code,
        error=error,
        error_details=details,
        step=step,
        required=required,
        available=available,
        due_at=at + POLICY.ask_again,
    )


def deployment_completed(at: datetime = LATER) -> DeploymentCompleted:
    return DeploymentCompleted(
        **IDS,
        at=at,
        agent_app_id=APP,
        package_id=PACKAGE,
        package_version="1.2.0",
        sha256="a" * 64,
        size_bytes=2048000,
        object_key=CONTENT,
        release=3,
        no=7,
        environment=ENVIRONMENT,
    )


UNDECIDED: tuple[DeploymentEvent, ...] = (queued(),)
HELD: tuple[DeploymentEvent, ...] = (*UNDECIDED, funded())


def processing(step: Step) -> tuple[DeploymentEvent, ...]:
    """Everything up to the start of `step`."""
    events: list[DeploymentEvent] = [*HELD, started()]
    for each in Step:
        events.append(step_started(each))
        if each is step:
            break
        events.append(step_completed(each))
    return tuple(events)


FINALIZING = processing(Step.FINALIZE)
COMPLETED = (*FINALIZING, step_completed(Step.FINALIZE), deployment_completed())
