"""What happened to deployments, one stream for each way to their end, for the rows kept beside this."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pac.contracts.base import SealedEnvironment, Source, Step
from pac.contracts.packages import PackageSubmitted
from pac.contracts.topics import ServiceName
from pac.deployments.domain import (
    APP,
    AbandonDeployment,
    CancelDeployment,
    CheckDeadline,
    Command,
    CompleteDeployment,
    CompleteStep,
    FailStep,
    FundDeployment,
    HoldUpStep,
    OvertakeDeployment,
    PinApp,
    QueueDeployment,
    RefuseCredits,
    RejectPackage,
    ReleaseApp,
    ResumeStep,
    SettleCredits,
    SettlePackage,
    StartDeployment,
    StopApp,
    decider,
)
from pac.testkit.golden import Story

NOON = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
OWNER = UUID("5b0f1c52-7f1e-4f6f-9d0e-6a1f4c3b2a10")
AGENT = UUID("c6a3c8f4-20cf-4a2b-8e35-9c1d7a54e011")
ID = UUID("0d4e9a3b-6f28-4c71-8b5a-e7f1c2d3a415")
BUNDLE = UUID("b2d4f6a8-1c3e-4f50-9274-96b8dafc1e17")
SHA256 = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
STAGED, CONTENT = "staging/7d3c", f"packages/{OWNER}/{SHA256}"
REASON = "Runtime answered 500: agent did not start"
PACKAGE_STEPS = (Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3, Step.GENERATE_METADATA)
SEALED = SealedEnvironment(
    object_key=f"sealed/{ID}",
    key_id="2026-11",
    names=("API_TOKEN",),
    fingerprints={"API_TOKEN": "9c56cc51b374c3ba189210d5b6d4bf57"},
)


def queued(source: Source = Source.UPLOAD, done: tuple[Step, ...] = ()) -> QueueDeployment:
    submission = PackageSubmitted(
        account_id=OWNER,
        at=NOON,
        deployment_id=ID,
        package_id=BUNDLE,
        agent_app_id=AGENT,
        package_version="1.4.0",
        sha256=SHA256,
        size_bytes=2_048_000,
        object_key=CONTENT if done else STAGED,
        source=source,
        billable=source is not Source.ROLLBACK,
        no=14,
        done=done,
        environment=SEALED,
    )
    return QueueDeployment(submission)


def story(*moves: Any) -> Story:
    """Two seconds between moves: a command, what makes one of the time it is, or a wait that ends with a deadline."""
    now, commands = NOON, list[Command]()
    for move in moves:
        now += move if isinstance(move, timedelta) else timedelta(seconds=2)
        match move:
            case timedelta():
                commands.append(CheckDeadline(ID, now))
            case _ if callable(move):
                commands.append(move(now))
            case _:
                commands.append(move)
    return Story(ServiceName.DEPLOYMENTS, decider(), ID, commands)


def held(at: datetime) -> FundDeployment:
    return FundDeployment(ID, at)


def started(at: datetime) -> StartDeployment:
    return StartDeployment(ID, 12, at)


def done(step: Step, attempt: int = 1) -> Any:
    return lambda at: CompleteStep(ID, step, attempt, at, CONTENT if step is Step.UPLOAD_TO_S3 else None)


def runtime_failed(attempt: int, *, retriable: bool = True) -> Any:
    return lambda at: FailStep(ID, Step.NOTIFY_RUNTIME, attempt, REASON, retriable, at)


def runtime_away(at: datetime) -> HoldUpStep:
    return HoldUpStep(ID, Step.NOTIFY_RUNTIME, 1, at - timedelta(seconds=5), at)


def runtime_back(at: datetime) -> ResumeStep:
    return ResumeStep(ID, Step.NOTIFY_RUNTIME, 1, at)


def captured(at: datetime) -> CompleteDeployment:
    return CompleteDeployment(ID, 1, at)


def credits_settled(at: datetime) -> SettleCredits:
    return SettleCredits(ID, at)


def package_settled(at: datetime) -> SettlePackage:
    return SettlePackage(ID, at)


def cancelled(at: datetime) -> CancelDeployment:
    return CancelDeployment(ID, at)


NOTIFYING = (queued(), held, started, *(done(step) for step in PACKAGE_STEPS))


def app_story(*moves: Any) -> Story:
    at = [NOON + timedelta(seconds=2 * number) for number in range(len(moves))]
    return Story(ServiceName.DEPLOYMENTS, APP, AGENT, [move(now) for move, now in zip(moves, at, strict=True)])


def pinned(at: datetime) -> PinApp:
    return PinApp(OWNER, AGENT, ID, at)


STORIES = {
    "appstate-pinned": app_story(pinned),
    "appstate-released-and-stopped": app_story(
        pinned, lambda at: ReleaseApp(OWNER, AGENT, at), lambda at: StopApp(OWNER, AGENT, 12, at)
    ),
    "deployment-of-a-pinned-app": story(
        queued(),
        held,
        lambda at: StartDeployment(ID, 12, at, pinned=True),
        *(done(step) for step in PACKAGE_STEPS),
        captured,
    ),
    "deployment-undecided": story(queued()),
    "deployment-held": story(queued(), held),
    "deployment-processing": story(*NOTIFYING),
    "deployment-waiting-for-the-runtime": story(*NOTIFYING, runtime_away),
    "deployment-completed-after-an-absence": story(
        *NOTIFYING, runtime_away, runtime_back, done(Step.NOTIFY_RUNTIME), captured
    ),
    "deployment-completed": story(*NOTIFYING, done(Step.NOTIFY_RUNTIME), captured),
    "deployment-of-a-rollback": story(
        queued(Source.ROLLBACK, PACKAGE_STEPS), held, started, done(Step.NOTIFY_RUNTIME), captured
    ),
    "deployment-completed-at-the-second-attempt": story(
        *NOTIFYING,
        runtime_failed(1),
        timedelta(seconds=5),
        done(Step.NOTIFY_RUNTIME, 2),
        timedelta(seconds=31),
        captured,
    ),
    "deployment-failed-past-its-attempts": story(
        *NOTIFYING,
        *(runtime_failed(1), timedelta(seconds=6), runtime_failed(2), timedelta(seconds=11), timedelta(seconds=330)),
        *(credits_settled, package_settled),
    ),
    "deployment-of-a-bad-package": story(
        *(queued(), held, started, lambda at: RejectPackage(ID, ("entrypoint names no module", "unsafe name"), at)),
        *(package_settled, credits_settled),
    ),
    "deployment-cancelled": story(*NOTIFYING, cancelled, timedelta(seconds=61), credits_settled, package_settled),
    "deployment-aborting": story(*NOTIFYING, cancelled, package_settled),
    "deployment-rejected": story(queued(), lambda at: RefuseCredits(ID, 5, 3, at), package_settled),
    "deployment-refused-while-cancelled": story(
        queued(), cancelled, lambda at: RefuseCredits(ID, 5, 3, at), package_settled
    ),
    "deployment-overtaken": story(
        queued(), held, lambda at: OvertakeDeployment(ID, at), credits_settled, package_settled
    ),
    "deployment-of-a-deleted-app": story(
        queued(), held, started, lambda at: AbandonDeployment(ID, at), package_settled, credits_settled
    ),
    "deployment-without-a-slot": story(queued(), held, timedelta(hours=25), credits_settled, package_settled),
}
