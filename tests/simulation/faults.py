"""Faults that break the laws which no missing rule of `flow.md` breaks: so that no law of the catalog is asleep.

What cannot be spoilt in the services alone is spoilt in a stand-in of theirs.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from pac.billing.books import Balance, Movement, movement_of
from pac.billing.domain import Reserve
from pac.contracts.base import Outcome, Step
from pac.contracts.billing import BillingEvent, CreditsReserved
from pac.contracts.bodies.billing import Kind
from pac.contracts.deployments import DeploymentAborted, DeploymentEvent, DeploymentPartSettled, StepStarted
from pac.contracts.errors import Refused
from pac.contracts.packages import SubmissionEvent
from pac.deployments.domain import (
    CancelDeployment,
    CheckDeadline,
    Command,
    CompleteDeployment,
    CompleteStep,
    Deployment,
    SettleCredits,
    SettlePackage,
)
from pac.packages.domain.submission import SUBMISSION, AnswerStep, Submission, SubmissionCommand
from pac.packages.domain.versions import Holder, Moved, Place
from pac.packages.submitting import Existing, Submitting, _existing
from pac.runtime_notifier.errands import Errand
from pac.runtime_notifier.running import App
from pac.runtime_notifier.watching import Ready

from . import billing_tables, hub_tables, notifier_tables
from .catalog import Law
from .laws import FAILED
from .mutants import (
    CANCELS,
    DEPLOYS,
    FOREIGN,
    LATE_WIRES,
    NOTIFIER,
    OVERWRITES,
    PACKAGES,
    QUIET,
    ROLLBACKS,
    Hub,
    Mutant,
    hub_without,
)
from .notifier_tables import MemoryWatch
from .packages_tables import MemoryShelf
from .schedule import Profile
from .services import Rules, Setting

Events = Sequence[DeploymentEvent]
CLAIMS: Sequence[Profile] = (QUIET | {"deploy": 4, "cancel": 4},)
IN_VAIN: Sequence[Profile] = (QUIET | {"deploy": 1, "cancel": 2, "cancel_in_vain": 1},)
HANGS: Sequence[Profile] = (QUIET | {"deploy": 1, "fail": 2},)
STOPS: Sequence[Profile] = (QUIET | {"deploy": 2, "stop": 2},)
DELETES: Sequence[Profile] = (QUIET | {"deploy": 2, "stored": 1, "delete": 2},)
ONE, NARROW = Setting(sign_up_credits=2), Setting(apps=2, parallel=1)


# ---- the hub --------------------------------------------------------------------------------------------------------


def ends_without_credits(real: Hub, now: Deployment, command: Command, events: Events) -> Events:
    if isinstance(command, SettlePackage) and [type(event) for event in events] == [DeploymentPartSettled]:
        return real.decide(replace(now, unsettled=frozenset({"package"})), command)
    return events


def completes_unpaid(real: Hub, now: Deployment, command: Command, events: Events) -> Events:
    if events and isinstance(last := events[-1], StepStarted) and last.step is Step.FINALIZE and last.attempt == 1:
        one = last.deployment_id
        return [*events, *real.decide(real.fold(events, now), CompleteDeployment(one, last.attempt, last.at))]
    return events


def late_is_ready(real: Hub, now: Deployment, command: Command, events: Events) -> Events:
    if isinstance(command, CheckDeadline) and now.step is Step.NOTIFY_RUNTIME and now.live and events:
        return real.decide(now, CompleteStep(command.deployment_id, now.step, now.attempt, command.at))
    return events


def cancels_after_the_end(real: Hub) -> Hub:
    def decide(now: Deployment, command: Command) -> Events:
        if isinstance(command, CancelDeployment) and now.status in FAILED:
            going = replace(now, status="aborting", unsettled=frozenset({"credits"}))
            return real.decide(going, SettleCredits(command.deployment_id, command.at))
        return real.decide(now, command)

    return replace(real, decide=decide)


def cancel_is_rejection(_: Hub, now: Deployment, command: Command, events: Events) -> Events:
    if isinstance(command, CancelDeployment) and now.status == "held":
        return [
            event.model_copy(update={"outcome": Outcome.REJECTED}) if isinstance(event, DeploymentAborted) else event
            for event in events
        ]
    return events


def pays_with_the_runtime(_: Hub, now: Deployment, command: Command, events: Events) -> Events:
    del now, command
    if events and isinstance(last := events[-1], StepStarted) and last.step is Step.NOTIFY_RUNTIME:
        return [*events[:-1], last.model_copy(update={"step": Step.FINALIZE}), last]
    return events


def always_cancels(real: Hub) -> Hub:
    def decide(now: Deployment, command: Command) -> Events:
        if isinstance(command, CancelDeployment) and now.status == "finalizing":
            return real.decide(replace(now, status="processing"), command)
        return real.decide(now, command)

    return replace(real, decide=decide)


def shrugs(real: Hub) -> Hub:
    def decide(now: Deployment, command: Command) -> Events:
        try:
            return real.decide(now, command)
        except Refused:
            return []

    return replace(real, decide=decide)


# ---- packages -------------------------------------------------------------------------------------------------------


async def first_look(self: Submitting, app_id: Any, version: str, *, overwrite: bool) -> Existing | None:
    """Waits for the holder's end, and answers from what it saw before."""
    async with self.log.reading() as connection:
        shelf = MemoryShelf(connection, app_id)
        place = await shelf.place(version)
        before = await _existing(shelf, place) if place != Place() else None
    return before if await self._sure(app_id, version, overwrite=overwrite) else None


def answers_ahead(now: Submission, command: SubmissionCommand) -> Sequence[SubmissionEvent]:
    if isinstance(command, AnswerStep):
        command = replace(command, attempt=command.attempt + 1)
    return SUBMISSION.decide(now, command)


async def nothing_completes(*_: object) -> None:
    pass


def stays_beside(package: Holder, place: Place) -> Moved:
    del package
    return Moved(place, None)


def without(*names: str, **instead: object) -> Callable[..., Awaitable[None]]:
    """MemoryShelf.change, which forgets a column or writes something else there."""
    real = MemoryShelf.change

    async def change(self: MemoryShelf, package_id: Any, **values: Any) -> None:
        kept = {name: value for name, value in values.items() if name not in names}
        await real(self, package_id, **{name: instead.get(name, value) for name, value in kept.items()})

    return change


# ---- billing --------------------------------------------------------------------------------------------------------


def always_reserved(command: Reserve) -> CreditsReserved:
    return CreditsReserved(
        account_id=command.account_id, at=command.at, deployment_id=command.deployment_id, amount=command.amount
    )


def twice_granted(event: BillingEvent) -> Movement | None:
    movement = movement_of(event)
    if movement is not None and movement.kind is Kind.GRANT:
        return replace(movement, credits=2 * movement.credits)
    return movement


def never_released(event: BillingEvent) -> Movement | None:
    movement = movement_of(event)
    return None if movement is not None and movement.kind is Kind.RELEASE else movement


one_leg = property(lambda movement: {movement.target: movement.credits})


def as_before(self: Balance, movement: Movement) -> Balance:
    del movement
    return self


# ---- runtime-notifier -----------------------------------------------------------------------------------------------


async def ready_at_once(self: MemoryWatch, errand: Errand, *_: object) -> Ready:
    self.runtime.give(errand.wire_id, errand.app_id)
    return Ready()


def never(*_: object) -> bool:
    return False


async def unchanged(tx: object, app: App, wire: object) -> App:
    del tx, wire
    return app


def closed_only(app: App, deployment_id: Any) -> App:
    if (delivery := app.deliveries.get(deployment_id)) is None:
        return app
    return app.with_delivery(replace(delivery, closed=True))


def still_pending(app: App, wire_id: str) -> App:
    del wire_id
    return app


def not_stopped(app: App, release: int) -> App:
    del release
    return app


BILLING = billing_tables.__name__
FAULTS = (
    Mutant("the end does not wait for credits", [Law.FAILED_HELD], rules=hub_without(ends_without_credits)),
    Mutant("completes without capture", [Law.COMPLETED_UNPAID], rules=hub_without(completes_unpaid)),
    Mutant("a deadline counts as ready", [Law.COMPLETED_UNREADY], rules=hub_without(late_is_ready), profiles=DEPLOYS),
    Mutant(
        "what is given is ready",
        [Law.READY_WITHOUT_RUNNING],
        {notifier_tables.__name__ + ".MemoryWatch.until_settled": ready_at_once},
    ),
    Mutant(
        "a cancel counts after the end", [Law.AFTER_THE_END], rules=Rules(hub=cancels_after_the_end), profiles=IN_VAIN
    ),
    Mutant(
        "packages does not hear the end",
        [Law.LEFT_OPEN],
        {PACKAGES + "consumers.Consumers._completed": nothing_completes},
    ),
    Mutant(
        "402 for what was cancelled",
        [Law.REFUSED_402],
        {PACKAGES + "consumers.Outcome": SimpleNamespace(REJECTED=Outcome.CANCELLED)},
        profiles=CANCELS,
    ),
    Mutant("a cancel ends as rejected", [Law.DECIDED_202], rules=hub_without(cancel_is_rejection), profiles=CANCELS),
    Mutant(
        "a claim answers from before its wait",
        [Law.TAKEN_400],
        {PACKAGES + "submitting.Submitting.existing": first_look},
        profiles=CLAIMS,
    ),
    Mutant(
        "packages answers another attempt",
        [Law.UNASKED],
        {PACKAGES + "work.SUBMISSION": replace(SUBMISSION, decide=answers_ahead)},
    ),
    Mutant(
        "a finalizing one holds no slot",
        [Law.SLOTS],
        {hub_tables.__name__ + ".HOLDING_A_SLOT": frozenset({"processing"})},
        setting=NARROW,
    ),
    Mutant("a pin is not looked at", [Law.PINNED], rules=Rules(looks_at_pins=False), profiles=ROLLBACKS),
    Mutant("a stop is not heard", [Law.STOPPED_RUNS], {NOTIFIER + "running.stopped": not_stopped}, profiles=STOPS),
    Mutant("a cancel never comes too late", [Law.ABORTED_TOO_LATE], rules=Rules(hub=always_cancels), profiles=CANCELS),
    Mutant("a cancel is never refused", [Law.CANCEL], rules=Rules(hub=shrugs)),
    Mutant("capture is asked with the runtime", [Law.CAPTURED_TOO_EARLY], rules=hub_without(pays_with_the_runtime)),
    Mutant("what is too early is an error", [Law.ERROR], {"pac.billing.consumers.TooEarly": ValueError}),
    Mutant(
        "nothing stops what is aborted",
        [Law.ABORTED_RUNS],
        {NOTIFIER + "running.aborted": closed_only},
        profiles=LATE_WIRES,
    ),
    Mutant(
        "a stop is not written down",
        [Law.BOOKS],
        {NOTIFIER + "courier._stopped": unchanged, NOTIFIER + "reconciler.is_gone": never},
        profiles=LATE_WIRES,
    ),
    Mutant("a failed wire stays", [Law.PENDING], {NOTIFIER + "running.turned_failed": still_pending}, profiles=HANGS),
    Mutant(
        "a hung runtime is waited for",
        [Law.WORK_LEFT],
        {NOTIFIER + "errands.Errand.overdue": never},
        profiles=HANGS,
        setting=FOREIGN,
    ),
    Mutant("one leg", [Law.LEDGER_SUM], {"pac.billing.books.Movement.legs": one_leg}),
    Mutant("a balance is not moved", [Law.BALANCE], {"pac.billing.books.Balance.after": as_before}),
    Mutant(
        "nobody asks what is available",
        [Law.BELOW_ZERO],
        {"pac.billing.domain._reserved_or_refused": always_reserved},
        setting=ONE,
    ),
    Mutant("a grant counts twice", [Law.GRANTED], {BILLING + ".movement_of": twice_granted}),
    Mutant("a release is not booked", [Law.RESERVED], {BILLING + ".movement_of": never_released}, profiles=CANCELS),
    Mutant(
        "a claim beside stays beside",
        [Law.BESIDE],
        {PACKAGES + "consumers.complete": stays_beside},
        profiles=OVERWRITES,
    ),
    Mutant("what completed is not kept", [Law.TAKEN_FOR_EVER], {PACKAGES + "consumers.Shelf.change": without("kept")}),
    Mutant(
        "superseded by nobody",
        [Law.SUPERSEDED],
        {PACKAGES + "consumers.Shelf.change": without(superseded_by=None)},
        profiles=OVERWRITES,
    ),
    Mutant(
        "a delete does not look",
        [Law.DELETED_CURRENT, Law.DELETED_USED],
        rules=Rules(delete_looks=False),
        profiles=DELETES,
    ),
    Mutant(
        "a delete does not look for whom the hub has not heard of",
        [Law.DELETED_BEGINS],
        rules=Rules(delete_looks=False),
        profiles=(QUIET | {"upload": 1, "deploy": 0, "stored": 2, "delete": 1},),
    ),
)
