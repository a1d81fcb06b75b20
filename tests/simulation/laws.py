"""The four laws of `flow.md`, looked at whenever something is said. What holds at rest is in `rest.py`."""

from dataclasses import dataclass, field
from uuid import UUID

from pac.billing.books import Balance, Book
from pac.billing.domain import Status as HoldStatus
from pac.contracts.base import Event, Source, Step
from pac.contracts.billing import CreditsCaptured, CreditsGranted, CreditsRefused, CreditsReleased, CreditsReserved
from pac.contracts.deployments import (
    AppReleased,
    DeploymentAborted,
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentFailed,
    DeploymentRejected,
    DeploymentStarted,
    StepStarted,
)
from pac.contracts.envelope import Envelope
from pac.contracts.packages import PackageRejected, PackageWithdrawn
from pac.gateway.domain import APP
from pac.packages.domain.submission import OWN_STEPS
from pac.packages.domain.versions import Status
from pac.packages.submitting import Existing

from .catalog import Law
from .orders import Orders
from .services import Services
from .users import Users
from .world import World

FAILED = ("failed", "cancelled", "rejected")
ENDED = ("completed", *FAILED)
GONE = (Status.WITHDRAWN, Status.DELETED, Status.REJECTED)


@dataclass
class Laws:
    """`lost`: deployments of which the scheduler has lost an order for good: nobody answers for that attempt."""

    world: World
    services: Services
    users: Users
    parallel: int
    lost: set[UUID] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)
    current: dict[UUID, DeploymentCompleted] = field(default_factory=dict)
    history: dict[UUID, list[DeploymentCompleted]] = field(default_factory=dict)
    may_still_complete: dict[UUID, frozenset[UUID]] = field(default_factory=dict)  # per app deleted, at the hub
    pinned: set[UUID] = field(default_factory=set)
    granted: dict[UUID, int] = field(default_factory=dict)
    orders: Orders = field(init=False)

    def __post_init__(self) -> None:
        self.orders = Orders(self.world, self.services)

    # ---- during -----------------------------------------------------------------------------------------------------

    def said(self, envelope: Envelope[Event]) -> None:  # noqa: C901 - one case an event
        event = envelope.event
        if envelope.source == self.services.hub.log.service.value:
            self.world.must(envelope.stream not in self.ended, Law.AFTER_THE_END, event.type)
        self.orders.said(event)
        match event:
            case CreditsGranted(account_id=account_id, amount=amount):
                self.granted[account_id] = self.granted.get(account_id, 0) + amount
                self._money(account_id)
            case CreditsReserved() | CreditsRefused() | CreditsCaptured() | CreditsReleased():
                self._money(event.account_id)
            case DeploymentStarted():
                self._slots()
            case StepStarted(deployment_id=deployment_id, step=step):
                package_id = self.services.hub.now(deployment_id).submission.package_id
                self.world.must(package_id not in self.users.deleted, Law.DELETED_BEGINS, step)
            case DeploymentAborted(code="step_timeout", step=step) if step in OWN_STEPS:
                self._nobody_answers(event)
            case DeploymentFailed() | DeploymentCancelled() | DeploymentRejected():
                self.ended.add(envelope.stream)
                self._failed(event)
            case DeploymentCompleted():
                self.ended.add(envelope.stream)
                self._completed(event)
            case AppReleased(agent_app_id=app_id):
                self.pinned.discard(app_id)
            case PackageWithdrawn(package_id=package_id, freed=True):
                self._withdrawn(package_id)
            case _:
                pass

    def _money(self, account_id: UUID) -> None:
        accounts = self.services.billing.accounts
        sums, row = accounts.sums(account_id), accounts.rows[account_id]
        booked = Balance(sums[Book.AVAILABLE], sums[Book.RESERVED], sums[Book.SPENT])
        must, now = self.world.must, row.balance
        must(not sum(sums.values()), Law.LEDGER_SUM)
        must(now == booked, Law.BALANCE)
        must(min(now.available, now.reserved, now.spent) >= 0, Law.BELOW_ZERO)
        must(-sums[Book.ISSUED] == self.granted.get(account_id, 0), Law.GRANTED)

    def _slots(self) -> None:
        busy = [row for row in self.services.hub.tables.queue.values() if row["status"] in ("processing", "finalizing")]
        for name, limit in (("agent_app_id", 1), ("account_id", self.parallel)):
            for one in {row[name] for row in busy}:
                self.world.must(sum(row[name] == one for row in busy) <= limit, Law.SLOTS, name)

    def _nobody_answers(self, event: DeploymentAborted) -> None:
        """An answer is owed per attempt: packages has heard the order, has nothing to do for it, and says nothing."""
        packages, hub = self.services.packages, self.services.hub
        deployment_id, step, attempt = event.deployment_id, event.step, hub.now(event.deployment_id).attempt
        assert step is not None
        row = packages.tables.packages[event.package_id]
        told = hub.log.streams[f"deployment-{deployment_id}"]
        order = max(n for n, each in enumerate(told, 1) if isinstance(each, StepStarted) and each.step is step)
        heard = packages.log.seen.get(("deployments", f"deployment-{deployment_id}"), 0) >= order
        working = any(key.startswith(str(deployment_id)) for key in packages.jobs.rows)
        answers = packages.log.streams.get(self._stream(deployment_id, event.package_id), [])
        answered = any(
            isinstance(told, PackageRejected)
            or (getattr(told, "step", None), getattr(told, "attempt", None)) == (step, attempt)
            for told in answers
        )
        open_there = packages.tables.submissions[deployment_id].open
        if step.value in row.done and heard and open_there and deployment_id not in self.lost:
            self.world.must(working or answered, Law.NOBODY_ANSWERS)

    def _stream(self, deployment_id: UUID, package_id: UUID) -> str:
        streams = self.services.packages.log.streams
        own = f"submission-{deployment_id}"
        return own if own in streams else f"package-{package_id}"

    def _failed(self, event: DeploymentFailed | DeploymentCancelled | DeploymentRejected) -> None:
        deployment_id = event.deployment_id
        self._gone_app(event.agent_app_id)
        tables, hold = self.services.packages.tables, self.services.billing.hold(deployment_id)
        must = self.world.must
        must(hold.status in (HoldStatus.RELEASED, HoldStatus.REFUSED), Law.FAILED_HELD, hold.status)
        must(not tables.submissions[deployment_id].open, Law.FAILED_OPEN, event.type)
        row = tables.packages[event.package_id]
        place = tables.versions.get((row.app_id, row.version), (None, None))
        if not row.kept and not tables.users(row.package_id):
            must(row.package_id not in place, Law.FAILED_TAKEN, event.type)
        if self.users.answers.get(deployment_id) == "202 reserved":
            must(not isinstance(event, DeploymentRejected), Law.DECIDED_202)

    def _completed(self, event: DeploymentCompleted) -> None:
        deployment_id, app_id = event.deployment_id, event.agent_app_id
        hold = self.services.billing.hold(deployment_id)
        must = self.world.must
        must(hold.status is HoldStatus.CAPTURED, Law.COMPLETED_UNPAID, hold.status)
        row = self.services.packages.tables.packages[event.package_id]
        stored = row.status not in GONE and Step.UPLOAD_TO_S3.value in row.done
        must(stored, Law.COMPLETED_GONE, row.status)
        must(event.object_key in self.services.packages.tables.objects, Law.COMPLETED_WITHOUT_BYTES)
        source = self.services.hub.now(deployment_id).submission.source
        if app_id in self.pinned and source is not Source.ROLLBACK:
            must(not event.current, Law.PINNED)
        self._gone_app(app_id, deployment_id)
        if not event.current:
            return
        if source is Source.ROLLBACK:
            self.pinned.add(app_id)
        must(deployment_id in self.orders.ready, Law.COMPLETED_UNREADY)
        if (before := self.current.get(app_id)) is not None:
            must(before.no < event.no, Law.OVERTAKEN)
        self.current[app_id] = event
        self.history.setdefault(app_id, []).append(event)

    def _withdrawn(self, package_id: UUID) -> None:
        kept = self.services.packages.tables.packages[package_id].kept
        completed = any(done.package_id == package_id for done in self._all_completed())
        self.world.must(not kept and not completed, Law.WITHDRAWN)

    def _all_completed(self) -> list[DeploymentCompleted]:
        return [event for events in self.history.values() for event in events]

    def _deleted_apps(self) -> None:
        """Once the hub has heard of it, only what is past the point of no return may still complete."""
        gateway, hub = self.services.gateway, self.services.hub
        for app_id in gateway.account_of.keys() - set(gateway.live) - self.may_still_complete.keys():
            stream = APP.stream(app_id)
            if hub.log.seen.get((gateway.log.service.value, stream), 0) == gateway.log.versions[stream]:
                mine = [row for row in hub.tables.queue.values() if row["agent_app_id"] == app_id]
                may = frozenset(row["deployment_id"] for row in mine if row["status"] == "finalizing")
                self.may_still_complete[app_id] = may

    # ---- after each action: what users were told -----------------------------------------------------------------

    def _gone_app(self, app_id: UUID, *may_complete: UUID) -> None:
        if (may := self.may_still_complete.get(app_id)) is not None:
            self.world.must(may.issuperset(may_complete), Law.DELETED_APP)

    def look(self) -> None:
        self._deleted_apps()
        while self.users.taken:
            self._taken(self.users.taken.pop())
        while self.users.rollbacks:
            self._rolled_back(*self.users.rollbacks.pop())
        while self.users.deleted_now:
            self._deleted(self.users.deleted_now.pop())

    def _taken(self, existing: Existing) -> None:
        row = self.services.packages.tables.packages[existing.package_id]
        mine = self.users.submissions_of(existing.package_id)
        seen_failing = [
            self.services.hub.now(one.deployment_id).status in FAILED or self.users.answers[one.deployment_id] == "402"
            for one in mine
        ]
        if not row.kept and mine:
            self.world.must(not all(seen_failing), Law.TAKEN_400)

    def _rolled_back(self, app_id: UUID, target: UUID) -> None:
        """Looked at only when the client can have seen all ends of its app's deployments."""
        hub = self.services.hub
        mine = [row for row in self.services.packages.tables.submissions.values() if row.app_id == app_id]
        before = [row for row in mine if row.source != "rollback" or self.users.answers[row.deployment_id] is not None]
        if any(hub.now(row.deployment_id).status not in ENDED for row in before):
            return
        history = self.history.get(app_id, [])
        self.world.must(len(history) > 1 and history[-2].deployment_id == target, Law.ROLLBACK)

    def _deleted(self, package_id: UUID) -> None:
        for app_id, event in self.current.items():
            if app_id in self.services.gateway.live:
                self.world.must(event.package_id != package_id, Law.DELETED_CURRENT)
        for row in self.services.hub.tables.queue.values():
            now = self.services.hub.now(row["deployment_id"])
            if now.status not in ("aborting", "undecided"):
                self.world.must(now.submission.package_id != package_id, Law.DELETED_USED)
