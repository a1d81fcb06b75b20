"""The four laws of `flow.md`, looked at whenever something is said. What holds at rest is in `rest.py`."""

from dataclasses import dataclass, field
from uuid import UUID

from pac.billing.books import Balance, Book
from pac.billing.domain import Status as HoldStatus
from pac.contracts.base import Event, Step
from pac.contracts.billing import CreditsCaptured, CreditsGranted, CreditsRefused, CreditsReleased, CreditsReserved
from pac.contracts.deployments import (
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
    granted: dict[UUID, int] = field(default_factory=dict)

    # ---- during -----------------------------------------------------------------------------------------------------

    def said(self, envelope: Envelope[Event]) -> None:  # noqa: C901 - one case a law
        event = envelope.event
        if envelope.stream in self.ended:
            self.world.broke(f"{event.type} follows the end of a deployment")
        match event:
            case CreditsGranted(account_id=account_id, amount=amount):
                self.granted[account_id] = self.granted.get(account_id, 0) + amount
                self._money(account_id)
            case CreditsReserved() | CreditsRefused() | CreditsCaptured() | CreditsReleased():
                self._money(event.account_id)
            case DeploymentStarted():
                self._slots()
            case StepStarted(deployment_id=deployment_id, step=step):
                if self.services.hub.now(deployment_id).submission.package_id in self.users.deleted:
                    self.world.broke(f"{step} of a deleted package begins")
            case DeploymentAborted(code="step_timeout", step=step) if step in OWN_STEPS:
                self._nobody_answers(event)
            case DeploymentFailed() | DeploymentCancelled() | DeploymentRejected():
                self.ended.add(envelope.stream)
                self._failed(event)
            case DeploymentCompleted():
                self.ended.add(envelope.stream)
                self._completed(event)
            case PackageWithdrawn(package_id=package_id, freed=True):
                self._withdrawn(package_id)
            case _:
                pass

    def _money(self, account_id: UUID) -> None:
        accounts = self.services.billing.accounts
        sums, row = accounts.sums(account_id), accounts.rows[account_id]
        if sum(sums.values()):
            self.world.broke("the ledger does not sum to zero")
        if row.balance != Balance(sums[Book.AVAILABLE], sums[Book.RESERVED], sums[Book.SPENT]):
            self.world.broke("a balance is not the sum of its ledger")
        if min(row.balance.available, row.balance.reserved, row.balance.spent) < 0:
            self.world.broke("a balance is below zero")
        if -sums[Book.ISSUED] != self.granted.get(account_id, 0):
            self.world.broke("more or less is booked than was granted")

    def _slots(self) -> None:
        busy = [row for row in self.services.hub.tables.queue.values() if row["status"] in ("processing", "finalizing")]
        for name, limit in (("agent_app_id", 1), ("account_id", self.parallel)):
            for one in {row[name] for row in busy}:
                if sum(row[name] == one for row in busy) > limit:
                    self.world.broke(f"more than {limit} deployments of one {name} hold a slot")

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
        if (
            step.value in row.done
            and heard
            and open_there
            and not working
            and not answered
            and deployment_id not in self.lost
        ):
            self.world.broke("failed by timeout although the step's work is done: nobody answers")

    def _stream(self, deployment_id: UUID, package_id: UUID) -> str:
        streams = self.services.packages.log.streams
        own = f"submission-{deployment_id}"
        return own if own in streams else f"package-{package_id}"

    def _failed(self, event: DeploymentFailed | DeploymentCancelled | DeploymentRejected) -> None:
        deployment_id = event.deployment_id
        tables, hold = self.services.packages.tables, self.services.billing.hold(deployment_id)
        if hold.status not in (HoldStatus.RELEASED, HoldStatus.REFUSED):
            self.world.broke(f"{event.type} while the hold is {hold.status}")
        if tables.submissions[deployment_id].open:
            self.world.broke(f"{event.type} before packages has closed the submission")
        row = tables.packages[event.package_id]
        place = tables.versions.get((row.app_id, row.version), (None, None))
        if row.package_id in place and not row.kept and not tables.users(row.package_id):
            self.world.broke(f"{event.type} and the version is still taken")
        if isinstance(event, DeploymentRejected) and self.users.answers.get(deployment_id) == "202 reserved":
            self.world.broke("a decided 202 was refused")

    def _completed(self, event: DeploymentCompleted) -> None:
        deployment_id, app_id = event.deployment_id, event.agent_app_id
        hold = self.services.billing.hold(deployment_id)
        if hold.status is not HoldStatus.CAPTURED:
            self.world.broke(f"completed while the hold is {hold.status}")
        row = self.services.packages.tables.packages[event.package_id]
        if row.status in GONE or Step.UPLOAD_TO_S3.value not in row.done:
            self.world.broke(f"completed, and the package is {row.status}")
        if event.object_key not in self.services.packages.tables.objects:
            self.world.broke("completed without bytes where the release says they are")
        if self.users.answers.get(deployment_id) == "402":
            self.world.broke("a 402 deployed")
        if (before := self.current.get(app_id)) is not None and before.no > event.no:
            self.world.broke("an older submission became current after a newer one")
        if (may := self.may_still_complete.get(app_id)) is not None and deployment_id not in may:
            self.world.broke("a deployment of a deleted app completed")
        self.current[app_id] = event
        self.history.setdefault(app_id, []).append(event)

    def _withdrawn(self, package_id: UUID) -> None:
        if self.services.packages.tables.packages[package_id].kept:
            self.world.broke("a package that completed once was withdrawn")
        if any(done.package_id == package_id for done in self._all_completed()):
            self.world.broke("the package of a completed deployment was withdrawn")

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
        if not row.kept and mine and all(seen_failing):
            self.world.broke("400 'Version already exists' after the client saw every deployment of it fail")

    def _rolled_back(self, app_id: UUID, target: UUID) -> None:
        """Looked at only when the client can have seen all ends of its app's deployments."""
        hub = self.services.hub
        mine = [row for row in self.services.packages.tables.submissions.values() if row.app_id == app_id]
        before = [row for row in mine if row.source != "rollback" or self.users.answers[row.deployment_id] is not None]
        if any(hub.now(row.deployment_id).status not in ENDED for row in before):
            return
        history = self.history.get(app_id, [])
        if len(history) < 2 or history[-2].deployment_id != target:
            self.world.broke("rollback chose another target than the release before the one that the client saw")

    def _deleted(self, package_id: UUID) -> None:
        for app_id, event in self.current.items():
            if event.package_id == package_id and app_id in self.services.gateway.live:
                self.world.broke("the package of the current release was deleted")
        for row in self.services.hub.tables.queue.values():
            now = self.services.hub.now(row["deployment_id"])
            if now.submission.package_id == package_id and now.status not in ("aborting", "undecided"):
                self.world.broke("a package in use was deleted")
