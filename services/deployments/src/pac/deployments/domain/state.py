"""A deployment as the fold of its own stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal, assert_never

from pac.contracts.base import Outcome, Step
from pac.contracts.deployments import (
    DeploymentAborted,
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentEvent,
    DeploymentFailed,
    DeploymentFunded,
    DeploymentPartSettled,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentStarted,
    StepCompleted,
    StepFailed,
    StepResumed,
    StepStarted,
    StepWaiting,
)
from pac.eventlog.copying import changed

Status = Literal[
    "absent",
    "undecided",  # queued, billing has not answered
    "held",  # queued, credits held, waits for a slot
    "processing",  # before StepCompleted(notify_runtime)
    "finalizing",  # after it: only capture remains
    "aborting",  # the end has begun, credits or package are not settled
    "completed",
    "failed",
    "cancelled",
    "rejected",
]
Part = Literal["credits", "package"]
OPEN: frozenset[Status] = frozenset({"undecided", "held", "processing", "finalizing", "aborting"})
HOLDING_A_SLOT: frozenset[Status] = frozenset({"processing", "finalizing"})
PACKAGE_STEPS = frozenset({Step.VALIDATE_PACKAGE, Step.UPLOAD_TO_S3, Step.GENERATE_METADATA})


@dataclass(frozen=True)
class StepRecord:
    """`started_at` is the first attempt's; `reason` is why the last one failed.

    `waiting_since`: since when the attempt that is live waits for the runtime.
    """

    attempt: int
    started_at: datetime
    completed_at: datetime | None = None
    failed_at: datetime | None = None
    reason: str | None = None
    waiting_since: datetime | None = None


@dataclass(frozen=True)
class Deployment:
    """`live`: the current attempt of `step` waits for its worker. `due_at`: when the clock has a say again."""

    status: Status = "absent"
    queued: DeploymentQueued | None = None
    object_key: str = ""
    release: int = 0
    pinned: bool = False
    step: Step | None = None
    attempt: int = 0
    live: bool = False
    due_at: datetime | None = None
    steps: Mapping[Step, StepRecord] = field(default_factory=lambda: MappingProxyType({}))
    funded_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    aborted: DeploymentAborted | None = None
    unsettled: frozenset[Part] = frozenset()

    @property
    def submission(self) -> DeploymentQueued:
        assert self.queued is not None, "an absent deployment has no submission"
        return self.queued

    @property
    def skipped(self) -> frozenset[Step]:
        """Done for this package already, and of a pinned app what would make it run. A capture is each one's own."""
        done = PACKAGE_STEPS.intersection(self.submission.done)
        return done | {Step.NOTIFY_RUNTIME} if self.pinned else done

    def with_step(self, step: Step, record: StepRecord) -> Mapping[Step, StepRecord]:
        return MappingProxyType({**self.steps, step: record})


def evolve(now: Deployment, event: DeploymentEvent) -> Deployment:  # noqa: C901, PLR0911, PLR0912 - one case an event
    match event:
        case DeploymentQueued():
            return changed(now, status="undecided", queued=event, object_key=event.object_key)
        case DeploymentFunded(at=at, due_at=due_at):
            return changed(now, status="held", funded_at=at, due_at=due_at)
        case DeploymentStarted(at=at, release=release, pinned=pinned):
            return changed(now, status="processing", started_at=at, release=release, pinned=pinned, due_at=None)
        case StepStarted(step=step, attempt=attempt, at=at, due_at=due_at):
            before = now.steps.get(step)
            record = (
                changed(before, attempt=attempt, failed_at=None, waiting_since=None)
                if before
                else StepRecord(attempt, at)
            )
            shared = changed(
                now, steps=now.with_step(step, record), step=step, attempt=attempt, live=True, due_at=due_at
            )
            # Else the step before has made it so; a pinned app's has none before.
            return changed(shared, status="finalizing") if step is Step.FINALIZE else shared
        case StepCompleted(step=step, at=at, object_key=object_key):
            steps = now.with_step(step, changed(now.steps[step], completed_at=at, reason=None, waiting_since=None))
            status: Status = "finalizing" if step in (Step.NOTIFY_RUNTIME, Step.FINALIZE) else "processing"
            stored = object_key or now.object_key
            return changed(now, steps=steps, status=status, object_key=stored, live=False, due_at=None)
        case StepFailed(step=step, at=at, reason=reason, next_at=next_at):
            steps = now.with_step(step, changed(now.steps[step], failed_at=at, reason=reason, waiting_since=None))
            return changed(now, steps=steps, live=False, due_at=next_at)
        case StepWaiting(step=step, since=since):
            return changed(now, steps=now.with_step(step, changed(now.steps[step], waiting_since=since)))
        case StepResumed(step=step):
            return changed(now, steps=now.with_step(step, changed(now.steps[step], waiting_since=None)))
        case DeploymentAborted(outcome=outcome, due_at=due_at):
            if now.status == "aborting":  # said again
                return changed(now, aborted=event, due_at=due_at)
            # A refusal of the credits is already their end.
            parts: frozenset[Part] = frozenset({"package"} if outcome is Outcome.REJECTED else {"credits", "package"})
            return changed(now, status="aborting", live=False, aborted=event, unsettled=parts, due_at=due_at)
        case DeploymentPartSettled(part=part):
            return changed(now, unsettled=now.unsettled - {part})
        case DeploymentFailed(at=at):
            return _ended(now, "failed", at)
        case DeploymentCancelled(at=at):
            return _ended(now, "cancelled", at)
        case DeploymentRejected(at=at):
            return _ended(now, "rejected", at)
        case DeploymentCompleted(at=at):
            return _ended(now, "completed", at)
        case _:
            assert_never(event)


def _ended(now: Deployment, status: Status, at: datetime) -> Deployment:
    return changed(now, status=status, ended_at=at, live=False, due_at=None, unsettled=frozenset())
