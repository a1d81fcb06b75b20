"""The hub's rules: every cell of the table of states in one `match`. Old news is [], news ahead of us is TooEarly."""

from collections.abc import Sequence
from datetime import timedelta
from typing import assert_never

from pac.contracts.base import Step
from pac.contracts.deployments import DeploymentEvent
from pac.contracts.errors import ErrorCode, Refused
from pac.deployments.domain.commands import (
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
    QueueDeployment,
    RefuseCredits,
    RejectPackage,
    ResumeStep,
    SettleCredits,
    SettlePackage,
    StartDeployment,
)
from pac.deployments.domain.facts import Facts, queued
from pac.deployments.domain.policy import Policy
from pac.deployments.domain.state import PACKAGE_STEPS, Deployment, Part, evolve
from pac.eventlog.types import Decider, TooEarly

STEPS = tuple(Step)
Events = Sequence[DeploymentEvent]


def decider(policy: Policy | None = None) -> Decider[Deployment, Command, DeploymentEvent]:
    rules = policy or Policy()
    return Decider("deployment", Deployment(), lambda now, command: decide(rules, now, command), evolve)


def decide(policy: Policy, now: Deployment, command: Command) -> Events:  # noqa: C901, PLR0911, PLR0912 - one table
    if isinstance(command, QueueDeployment):
        return [queued(command.submission)] if now.status == "absent" else []
    if now.status == "absent":
        return _absent(command)
    facts = Facts(policy, now, command.at)
    match command:
        case FundDeployment():
            return [facts.funded()] if now.status == "undecided" else []
        case RefuseCredits(required=required, available=available):
            # ▸ refused_ends_abort: while aborting, a refusal is an end of the money too.
            return [facts.rejected(required, available)] if now.status == "undecided" else _settled(facts, "credits")
        case StartDeployment(release=release, pinned=pinned):
            return _with_next_step(facts, facts.started(release, pinned=pinned)) if now.status == "held" else []
        case CompleteStep(step=step, attempt=attempt, object_key=object_key):
            if not _is_live(now, step, attempt, command):
                return []
            return _with_next_step(facts, facts.step_completed(step, attempt, object_key))
        case FailStep(step=step, attempt=attempt, reason=reason, retriable=retriable):
            if not _is_live(now, step, attempt, command):
                return []
            code = "runtime_unavailable" if retriable else "runtime_failed"
            return _attempt_failed(facts, step, reason, code, retriable=retriable)
        case HoldUpStep(step=step, attempt=attempt, since=since):
            live = _is_live(now, step, attempt, command)
            return [facts.step_waiting(step, since)] if live and not _waits(now, step) else []
        case ResumeStep(step=step, attempt=attempt):
            return [facts.step_resumed(step)] if _is_live(now, step, attempt, command) and _waits(now, step) else []
        case RejectPackage(problems=problems):
            return _package_rejected(facts, problems, command)
        case CompleteDeployment():
            # ▸ capture_any_attempt: captured is captured, whichever attempt of finalize asked for it.
            _refuse_ahead_of_us(now, command)
            if now.status != "finalizing":
                return []
            return [facts.step_completed(Step.FINALIZE, now.attempt), facts.completed()]
        case SettleCredits():
            _refuse_ahead_of_us(now, command)
            return _settled(facts, "credits")
        case SettlePackage():
            _refuse_ahead_of_us(now, command)
            return _settled(facts, "package")
        case CancelDeployment():
            return _cancelled(facts)
        case OvertakeDeployment():
            error = "A newer deployment of this app has completed first"
            return [facts.failed("overtaken", error)] if now.status == "held" else []
        case AbandonDeployment():
            # ▸ app_deleted: past the point of no return it completes.
            may_end = now.status in ("undecided", "held", "processing")
            return [facts.failed("app_deleted", "Agent app was deleted")] if may_end else []
        case CheckDeadline(at=at):
            return _due(facts) if now.due_at is not None and now.due_at <= at else []
        case _:
            assert_never(command)


def _absent(command: Command) -> Events:
    match command:
        case CancelDeployment():
            raise Refused(ErrorCode.NOT_FOUND, "Deployment not found")
        case StartDeployment() | OvertakeDeployment() | AbandonDeployment() | CheckDeadline():
            return []  # our own wishes: no news to wait for
        case _:
            raise TooEarly(command)


def _refuse_ahead_of_us(now: Deployment, command: Command) -> None:
    """What answers an order that this deployment has not given yet."""
    if now.status in ("undecided", "held", "processing"):
        raise TooEarly(command)


def _is_live(now: Deployment, step: Step, attempt: int, command: Command) -> bool:
    """Whether an answer to (step, attempt) is the one we wait for. False: it is old."""
    if now.status in ("undecided", "held"):
        raise TooEarly(command)
    if now.status != "processing" or now.step is None:
        return False
    told, current = (STEPS.index(step), attempt), (STEPS.index(now.step), now.attempt)
    if told > current:
        raise TooEarly(command)
    return told == current and now.live


def _waits(now: Deployment, step: Step) -> bool:
    return now.steps[step].waiting_since is not None


def _with_next_step(facts: Facts, event: DeploymentEvent) -> Events:
    after = evolve(facts.now, event)
    behind = STEPS[: STEPS.index(after.step) + 1] if after.step else ()
    step = next(step for step in STEPS if step not in behind and step not in after.skipped)
    return [event, Facts(facts.policy, after, facts.at).step_started(step, 1)]


def _attempt_failed(facts: Facts, step: Step, reason: str, code: str, *, retriable: bool) -> Events:
    attempt, limit = facts.now.attempt, facts.policy.attempts
    again = retriable and attempt < limit
    failed = facts.step_failed(step, reason, retriable=retriable, again=again)
    if again:
        return [failed]
    error = f"{reason} (attempt {attempt} of {limit})" if retriable else reason
    return [failed, facts.failed(code, error)]


def _package_rejected(facts: Facts, problems: tuple[str, ...], command: Command) -> Events:
    now = facts.now
    if now.status in ("undecided", "held"):
        raise TooEarly(command)
    if now.status != "processing" or now.step not in PACKAGE_STEPS:
        return []
    more = f" (+{len(problems) - 1} more)" if len(problems) > 1 else ""
    error = f"Package validation failed: {problems[0]}{more}" if problems else "Package validation failed"
    aborted = facts.failed(ErrorCode.INVALID_PACKAGE, error, problems)
    if not now.live:  # a deadline has closed its attempt; the verdict stands for every attempt
        return [aborted]
    return [facts.step_failed(now.step, error, retriable=False, again=False), aborted]


def _due(facts: Facts) -> Events:
    now, policy = facts.now, facts.policy
    if now.status == "held":
        hours = policy.hold_deadline / timedelta(hours=1)
        return [facts.failed("no_slot", f"No slot became free within {hours:g} h")]
    if now.status == "aborting" and now.aborted is not None:
        return [facts.aborted_again(now.aborted)]
    assert now.step is not None
    if now.status == "finalizing" or not now.live:
        return [facts.step_started(now.step, now.attempt + 1)]
    seconds = f"{policy.step_deadline.total_seconds():g} s"
    late = f"Step {now.step} was not finished within {seconds}"
    if now.step is Step.NOTIFY_RUNTIME:
        late = f"Runtime did not become healthy within {seconds}"
    return _attempt_failed(facts, now.step, late, "step_timeout", retriable=True)


def _cancelled(facts: Facts) -> Events:
    match facts.now.status:
        case "undecided" | "held" | "processing":
            return [facts.cancelled()]
        case "aborting":
            return []  # already going
        case "finalizing":
            raise Refused(ErrorCode.TOO_LATE)
        case _:
            raise Refused(ErrorCode.ALREADY_FINISHED)


def _settled(facts: Facts, part: Part) -> Events:
    """Ends when credits and package are settled both, in any order."""
    now = facts.now
    if part not in now.unsettled or now.aborted is None:
        return []
    return [facts.part_settled(part)] if len(now.unsettled) > 1 else [facts.ended(now.aborted)]
