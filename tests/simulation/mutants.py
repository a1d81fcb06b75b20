"""Every rule marked ▸ in `flow.md`, switched off: a real function is replaced by what one would have written first.

`replaced` names functions of the services; `rules` are those that live in SQL or in a library, which the simulation
says itself. `profiles` are the wishes that a story about the rule needs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from pac.contracts.deployments import DeploymentEvent, DeploymentPartSettled
from pac.contracts.packages import SubmissionEvent
from pac.deployments.domain import (
    AbandonDeployment,
    Command,
    CompleteDeployment,
    CompleteStep,
    Deployment,
    RefuseCredits,
    SettleCredits,
)
from pac.eventlog import Decider
from pac.packages.domain import submission, versions
from pac.packages.domain.submission import SUBMISSION, AnswerStep, Submission, SubmissionCommand
from pac.packages.domain.versions import Claim, Holder, Place
from pac.runtime_notifier import running
from pac.runtime_notifier.running import App, Delivery
from pac.runtime_notifier.runtime import Unknown

from .catalog import Law
from .schedule import PROFILES, Profile
from .services import Rules, Setting

Hub = Decider[Deployment, Command, DeploymentEvent]
NOTIFIER, PACKAGES = "pac.runtime_notifier.", "pac.packages."


RICH, POOR, FOREIGN = Setting(), Setting(sign_up_credits=0), Setting(local_runtime=False)


@dataclass(frozen=True)
class Mutant:
    """`laws`: each is seen to break."""

    rule: str
    laws: Sequence[Law]
    replaced: dict[str, object] = field(default_factory=dict)
    rules: Rules = field(default_factory=Rules)
    profiles: Sequence[Profile] = PROFILES
    setting: Setting | None = RICH


def hub_without(
    rule: Callable[[Hub, Deployment, Command, Sequence[DeploymentEvent]], Sequence[DeploymentEvent]],
) -> Rules:
    def wrapped(real: Hub) -> Hub:
        return replace(real, decide=lambda now, command: rule(real, now, command, real.decide(now, command)))

    return Rules(hub=wrapped)


# ---- the hub --------------------------------------------------------------------------------------------------------


def refused_ends_abort(
    _: Hub, now: Deployment, command: Command, events: Sequence[DeploymentEvent]
) -> Sequence[DeploymentEvent]:
    """Only CreditsReleased is an end of the money."""
    return [] if isinstance(command, RefuseCredits) and now.status == "aborting" else events


def capture_any_attempt(
    _: Hub, now: Deployment, command: Command, events: Sequence[DeploymentEvent]
) -> Sequence[DeploymentEvent]:
    """Captured counts for the attempt that asked."""
    return [] if isinstance(command, CompleteDeployment) and command.attempt != now.attempt else events


def settle_packages(
    real: Hub, now: Deployment, command: Command, events: Sequence[DeploymentEvent]
) -> Sequence[DeploymentEvent]:
    """Ends when the money is settled."""
    if isinstance(command, SettleCredits) and [type(event) for event in events] == [DeploymentPartSettled]:
        return real.decide(replace(now, unsettled=frozenset({"credits"})), command)
    return events


def app_deleted(
    _: Hub, now: Deployment, command: Command, events: Sequence[DeploymentEvent]
) -> Sequence[DeploymentEvent]:
    """What is open goes on."""
    del now
    return [] if isinstance(command, AbandonDeployment) else events


def point_of_no_return(
    real: Hub, now: Deployment, command: Command, events: Sequence[DeploymentEvent]
) -> Sequence[DeploymentEvent]:
    """RuntimeReady on its way counts: it completes a deployment that was aborted meanwhile."""
    if isinstance(command, CompleteStep) and now.status == "aborting" and now.step == command.step:
        return real.decide(replace(now, status="processing", live=True, attempt=command.attempt), command)
    return events


# ---- packages -------------------------------------------------------------------------------------------------------


def decided_once(now: Submission, command: SubmissionCommand) -> Sequence[SubmissionEvent]:
    """answer_per_attempt: a step that was answered is not answered again."""
    if isinstance(command, AnswerStep) and submission.step_of(command.finding) in {step for step, _ in now.answered}:
        return []
    return SUBMISSION.decide(now, command)


def first_user_frees(package: Holder, place: Place, deployment_id: UUID) -> bool:
    """last_user_frees: whoever ends gives the version back."""
    return versions.frees(replace(package, users=frozenset({deployment_id})), place, deployment_id)


def completed_frees_too(package: Holder, place: Place, deployment_id: UUID) -> bool:
    """last_user_frees: also a package that completed once."""
    return versions.frees(replace(package, kept=False), place, deployment_id)


def nobody_frees(package: Holder, place: Place, deployment_id: UUID) -> bool:
    del package, place, deployment_id
    return False


def moved_at_claim(place: Place, package_id: UUID, how: Claim) -> Place:
    """overwrite_at_end: the pointer moves when the overwriting deployment is accepted."""
    del place, how
    return Place(Holder(package_id, versions.Status.UPLOADING))


# ---- runtime-notifier -----------------------------------------------------------------------------------------------


def as_it_is(app: App) -> App:
    return app


def not_compared(real: Callable[..., App]) -> Callable[..., App]:
    """undo_whenever: what turns ready is written down, and nothing is done about it."""

    def turned_ready(app: App, wire_id: str, **how: Any) -> App:
        return replace(real(app, wire_id, **how), asked=())

    return turned_ready


async def nobody_looks(*_: object) -> None:
    """undo_whenever: what is late for long is never ready."""


def current_only(app: App) -> Delivery | None:
    """should_run: the current release, whatever is on its way."""
    return app.deliveries[app.current] if app.current is not None and not app.is_deleted else None


def is_unknown(health: object) -> bool:
    return isinstance(health, Unknown)


def any_release(real: Callable[..., App]) -> Callable[..., App]:
    """release_number: the release that was heard of last is the current one."""

    def completed(app: App, deployment_id: UUID, release: int, *, current: bool) -> App:
        return real(replace(app, current_release=0), deployment_id, release, current=current)

    return completed


QUIET: Profile = dict.fromkeys(
    ("cancel", "cancel_in_vain", "fail", "timeout", "expire", "replay", "crash", "crash_at", "late"), 0
)
CANCELS = (QUIET | {"deploy": 1, "cancel": 1},)
DEPLOYS = (QUIET | {"deploy": 2, "cancel": 1, "timeout": 1}, QUIET | {"deploy": 2, "fail": 1, "timeout": 2})
LATE_WIRES = (QUIET | {"deploy": 2, "cancel": 1, "at_runtime": 1}, QUIET | {"deploy": 2, "timeout": 2, "at_runtime": 1})
WAKES = (QUIET | {"deploy": 2, "fail": 2, "cancel": 1, "timeout": 3, "wake": 1, "at_runtime": 1, "stubborn": 1},)
ORDERS = (QUIET | {"deploy": 2},)
OVERWRITES = (QUIET | {"deploy": 3, "cancel": 1}, QUIET | {"upload": 1, "deploy": 2, "fail": 1})
USERS = (QUIET | {"deploy": 1, "stored": 2, "cancel": 2}, QUIET | {"upload": 1, "stored": 2, "cancel": 2})
RETRIES = (QUIET | {"deploy": 1, "retry": 2, "cancel": 2, "fail": 1},)
ROLLBACKS = (QUIET | {"deploy": 3, "rollback": 3},)
DELETIONS = (QUIET | {"deploy": 3, "delete_app": 1},)
POISONS = (QUIET | {"deploy": 2, "cancel": 1, "poison": 1},)
SHARED = (QUIET | {"upload": 1, "stored": 3, "poison": 1},)
TIMEOUTS = (QUIET | {"deploy": 1, "timeout": 4},)

MUTANTS = (
    Mutant(
        "undo_whenever: nothing is done about what turns ready late",
        [Law.SERVES_ELSE],
        {
            NOTIFIER + "running.turned_ready": not_compared(running.turned_ready),
        },
        profiles=LATE_WIRES,
        setting=FOREIGN,
    ),
    Mutant(
        "undo_whenever: what was given up is not looked at any more",
        [Law.ABORTED_RUNS],
        {NOTIFIER + "fleet.Fleet.look_later": nobody_looks},
        profiles=WAKES,
    ),
    Mutant(
        "undo_whenever: RuntimeReady is the point of no return",
        [Law.NEVER_ENDS, Law.ERROR],
        rules=hub_without(point_of_no_return),
        profiles=DEPLOYS,
    ),
    Mutant(
        "answer_per_attempt",
        [Law.NOBODY_ANSWERS],
        {
            PACKAGES + "consumers.SUBMISSION": replace(SUBMISSION, decide=decided_once),
            PACKAGES + "work.SUBMISSION": replace(SUBMISSION, decide=decided_once),
        },
        profiles=TIMEOUTS,
    ),
    Mutant("submission_stream", [Law.NEVER_ENDS], rules=Rules(submission_stream=False), profiles=SHARED),
    Mutant("settle_packages", [Law.FAILED_OPEN], rules=hub_without(settle_packages), profiles=CANCELS),
    Mutant(
        "release_number: there is none",
        [Law.PACKAGES_POINTER, Law.HUB_POINTER],
        rules=Rules(numbers_releases=False),
        profiles=ORDERS,
    ),
    Mutant(
        "release_number: packages takes what it hears last",
        [Law.PACKAGES_POINTER],
        rules=Rules(guards_release=False),
        profiles=ORDERS,
    ),
    Mutant(
        "release_number: the notifier takes what it hears last",
        [Law.NOTIFIER_POINTER],
        {
            NOTIFIER + "running.completed": any_release(running.completed),
        },
        profiles=ORDERS,
    ),
    Mutant(
        "refused_ends_abort", [Law.NEVER_ENDS], rules=hub_without(refused_ends_abort), profiles=CANCELS, setting=POOR
    ),
    Mutant("capture_any_attempt", [Law.NEVER_ENDS], rules=hub_without(capture_any_attempt), profiles=TIMEOUTS),
    Mutant("slot_at_abort", [Law.NEVER_ENDS], rules=Rules(frees_slot_at_abort=False), profiles=POISONS),
    Mutant("overtaken", [Law.OVERTAKEN], rules=Rules(overtakes=False), profiles=ORDERS),
    Mutant(
        "should_run: nothing is compared",
        [Law.SERVES_ELSE],
        {NOTIFIER + "running.compared": as_it_is},
        profiles=LATE_WIRES,
        setting=FOREIGN,
    ),
    Mutant(
        "should_run: only the current release",
        [Law.OLDER_AGAIN],
        {NOTIFIER + "running.should_run": current_only},
        profiles=DEPLOYS,
    ),
    Mutant(
        "should_run: only what the runtime forgot is given again, not what it stopped",
        [Law.SERVES_ELSE],
        {NOTIFIER + "reconciler.is_gone": is_unknown},
        profiles=LATE_WIRES,
    ),
    Mutant("app_deleted: the hub goes on", [Law.DELETED_APP], rules=hub_without(app_deleted), profiles=DELETIONS),
    Mutant(
        "app_deleted: the notifier goes on",
        [Law.DELETED_RUNS],
        {NOTIFIER + "running.deleted": as_it_is},
        profiles=DELETIONS,
    ),
    Mutant("rollback_waits", [Law.ROLLBACK], rules=Rules(rollback_waits=False), profiles=ROLLBACKS),
    Mutant(
        "overwrite_at_end", [Law.LOST_VERSION], {PACKAGES + "submitting._claimed": moved_at_claim}, profiles=OVERWRITES
    ),
    Mutant(
        "last_user_frees: the first does",
        [Law.COMPLETED_GONE],
        {PACKAGES + "consumers.frees": first_user_frees},
        profiles=USERS,
    ),
    Mutant(
        "last_user_frees: of a completed one too",
        [Law.WITHDRAWN],
        {PACKAGES + "consumers.frees": completed_frees_too},
        profiles=USERS,
    ),
    Mutant(
        "last_user_frees: nobody does", [Law.FAILED_TAKEN], {PACKAGES + "consumers.frees": nobody_frees}, profiles=USERS
    ),
    Mutant(
        "keep_bytes", [Law.WITHOUT_BYTES, Law.COMPLETED_WITHOUT_BYTES], rules=Rules(keeps_bytes=False), profiles=RETRIES
    ),
    Mutant("early_no_limit", [Law.PARKED], rules=Rules(early_limit=3), profiles=DEPLOYS),
)
