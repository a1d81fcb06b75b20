"""What must be true when nothing flows any more: all has ended and is settled, and everybody says the same."""

from dataclasses import dataclass
from uuid import UUID

from pac.billing.domain import Status as HoldStatus
from pac.packages.domain.versions import Status
from pac.runtime_notifier.running import WireStatus

from .catalog import Law
from .laws import ENDED, GONE, Laws
from .packages_tables import App
from .services import Services
from .users import Users
from .world import World


@dataclass(frozen=True)
class Rest:
    world: World
    services: Services
    users: Users
    laws: Laws

    def look(self, sick: set[str]) -> None:
        """`sick`: keys of which a message is broken. Whoever waits behind their slot may wait; all others may not."""
        self._nothing_waits(sick)
        held = [row for row in self.services.hub.tables.busy() if str(row["deployment_id"]) in sick]
        full = sum(1 for _ in held) >= self.laws.parallel
        blocked = {row["account_id"] if full else row["agent_app_id"] for row in held if row["status"] == "finalizing"}
        for deployment_id, row in self.services.packages.tables.submissions.items():
            if str(deployment_id) not in sick and not blocked & {row.app_id, row.account_id}:
                self._settled(deployment_id, sick)
        if not sick:
            self._versions()
            self._pointers()
            self._runtimes()
            for account_id, account in self.services.billing.accounts.rows.items():
                self.world.must(not account.balance.reserved, Law.RESERVED, f"of {account_id}")

    def _nothing_waits(self, sick: set[str]) -> None:
        if sick:
            return
        for consumer in self.services.consumers.values():
            first = next((parked.envelope.event.type for parked in consumer.parked), None)
            self.world.must(first is None, Law.PARKED, f"{consumer.name} {first}")
        for jobs in (self.services.packages.jobs, self.services.notifier.jobs):
            left = [key for key in jobs.rows if not self._may_wait(key)]
            self.world.must(not left, Law.WORK_LEFT, jobs.queue)

    def _may_wait(self, key: str) -> bool:
        """What the runtime never settles is looked at for ever."""
        kind, _, wire = key.partition(":")
        return kind == "look" and self.services.notifier.runtime.status.get(wire) == "hung"

    def _settled(self, deployment_id: UUID, sick: set[str]) -> None:
        now, hold = self.services.hub.now(deployment_id), self.services.billing.hold(deployment_id)
        must = self.world.must
        other = " (another deployment's message is broken)" if sick else ""
        must(now.status in ENDED, Law.NEVER_ENDS, f"{now.status} {now.step or ''}{other}")
        if now.status == "completed":
            must(hold.status is HoldStatus.CAPTURED, Law.COMPLETED_UNPAID, hold.status)
        else:
            must(hold.status in (HoldStatus.RELEASED, HoldStatus.REFUSED), Law.FAILED_HELD, hold.status)
        must(not self.services.packages.tables.submissions[deployment_id].open, Law.LEFT_OPEN)
        answer = self.users.answers[deployment_id]
        if answer == "402":
            must(now.status == "rejected", Law.REFUSED_402, now.status)
        must(answer is not None, Law.LEFT_OPEN, "a request waits")

    def _versions(self) -> None:
        tables = self.services.packages.tables
        for (app_id, version), (holder, beside) in tables.versions.items():
            must = self.world.must
            must(beside is None, Law.BESIDE)
            if holder is not None:
                row = tables.packages[holder]
                must(row.status not in GONE and row.kept, Law.TAKEN_FOR_EVER, f"{version} of {app_id}, {row.status}")
        for row in tables.packages.values():
            place = tables.versions.get((row.app_id, row.version), (None, None))
            if row.kept and row.status is Status.STORED:
                self.world.must(row.package_id in place, Law.LOST_VERSION)
            if row.status is Status.SUPERSEDED:
                by = tables.packages[row.superseded_by] if row.superseded_by else None
                self.world.must(by is not None and by.kept, Law.SUPERSEDED)
            if row.kept:
                self.world.must(row.status is not Status.WITHDRAWN, Law.WITHDRAWN)

    def _pointers(self) -> None:
        for app_id, event in self.laws.current.items():
            told = self.services.packages.tables.apps.get(app_id, App())
            must, current = self.world.must, event.deployment_id
            same = told.current_deployment_id == current and told.current_package_id == event.package_id
            must(same, Law.PACKAGES_POINTER)
            must(self.services.hub.tables.app(app_id).current_deployment_id == current, Law.HUB_POINTER)
            must(self.services.notifier.tables.apps[app_id].current == current, Law.NOTIFIER_POINTER)

    def _runtimes(self) -> None:
        notifier = self.services.notifier
        for app_id in self.services.gateway.account_of:
            running = notifier.runtime.running(app_id)
            row = notifier.tables.apps.get(app_id)
            books = row.serving if row is not None else None
            current, live = self.laws.current.get(app_id), app_id in self.services.gateway.live
            stopped = current is not None and current.release <= self.services.hub.tables.app(app_id).stopped_release
            if stopped and notifier.runtime.local:
                self.world.must(not running, Law.STOPPED_RUNS)
            if current is not None and live and not stopped:
                serves = notifier.tables.wires[books][1].deployment_id if books in running and books else None
                self.world.must(serves == current.deployment_id, Law.SERVES_ELSE)
            if notifier.runtime.local:
                if not live:
                    self.world.must(not running, Law.DELETED_RUNS)
                if current is None:
                    self.world.must(not running, Law.ABORTED_RUNS)
                self.world.must(running == ([books] if books else []), Law.BOOKS)
        for _, wire in notifier.tables.wires.values():
            self.world.must(wire.status is not WireStatus.PENDING, Law.PENDING)
