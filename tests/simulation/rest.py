"""What must be true when nothing flows any more: all has ended and is settled, and everybody says the same."""

from dataclasses import dataclass
from uuid import UUID

from pac.billing.domain import Status as HoldStatus
from pac.packages.domain.versions import Status
from pac.runtime_notifier.running import WireStatus

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
                if account.balance.reserved:
                    self.world.broke(f"{account.balance.reserved} credits are held for ever of {account_id}")

    def _nothing_waits(self, sick: set[str]) -> None:
        if sick:
            return
        for consumer in self.services.consumers.values():
            for parked in consumer.parked:
                self.world.broke(f"parked for ever: {consumer.name} {parked.envelope.event.type}")
        for jobs in (self.services.packages.jobs, self.services.notifier.jobs):
            for key in jobs.rows:
                self.world.broke(f"work is left for ever: {jobs.queue} {key.partition(':')[0][:4]}")

    def _settled(self, deployment_id: UUID, sick: set[str]) -> None:
        now, hold = self.services.hub.now(deployment_id), self.services.billing.hold(deployment_id)
        if now.status not in ENDED:
            other = " (another deployment's message is broken)" if sick else ""
            self.world.broke(f"never ends: {now.status} {now.step or ''}{other}")
            return
        if hold.status is not HoldStatus.CAPTURED and now.status == "completed":
            self.world.broke(f"completed with a hold that is {hold.status}")
        if hold.status not in (HoldStatus.RELEASED, HoldStatus.REFUSED) and now.status != "completed":
            self.world.broke(f"{now.status} with a hold that is {hold.status}")
        answer = self.users.answers[deployment_id]
        if answer is None:
            self.world.broke("a request waits for ever")
        if answer == "402" and now.status != "rejected":
            self.world.broke(f"a 402 {now.status}")

    def _versions(self) -> None:
        tables = self.services.packages.tables
        for (app_id, version), (holder, beside) in tables.versions.items():
            if beside is not None:
                self.world.broke("a claim beside another stays for ever")
            if holder is not None:
                row = tables.packages[holder]
                if row.status in GONE or not row.kept:
                    self.world.broke(f"version {version} is taken for ever by a package that is {row.status}: {app_id}")
        for row in tables.packages.values():
            place = tables.versions.get((row.app_id, row.version), (None, None))
            if row.kept and row.status is Status.STORED and row.package_id not in place:
                self.world.broke("a completed package lost its version to nobody")
            if row.status is Status.SUPERSEDED:
                by = tables.packages[row.superseded_by] if row.superseded_by else None
                if by is None or not by.kept:
                    self.world.broke("a failed overwrite took the version from the package it did not replace")
            if row.kept and row.status is Status.WITHDRAWN:
                self.world.broke("a completed package is withdrawn")

    def _pointers(self) -> None:
        for app_id, event in self.laws.current.items():
            told = self.services.packages.tables.apps.get(app_id, App())
            if told.current_deployment_id != event.deployment_id or told.current_package_id != event.package_id:
                self.world.broke("packages holds another release for current")
            if self.services.hub.tables.app(app_id).current_deployment_id != event.deployment_id:
                self.world.broke("deployments holds another release for current")
            if self.services.notifier.tables.apps[app_id].current != event.deployment_id:
                self.world.broke("runtime-notifier holds another release for current")

    def _runtimes(self) -> None:
        notifier = self.services.notifier
        for app_id in self.services.gateway.account_of:
            running = notifier.runtime.running(app_id)
            row = notifier.tables.apps.get(app_id)
            books = row.serving if row is not None else None
            current, live = self.laws.current.get(app_id), app_id in self.services.gateway.live
            if current is not None and live:
                serves = notifier.tables.wires[books][1].deployment_id if books in running and books else None
                if serves != current.deployment_id:
                    self.world.broke("at rest the runtime serves something else than the current release")
            if notifier.runtime.local:
                if running and not live:
                    self.world.broke("a deleted app runs")
                if running and current is None:
                    self.world.broke("an aborted deployment runs for ever")
                if running != ([books] if books else []):
                    self.world.broke("the books say that something else serves than what does")
        for _, wire in notifier.tables.wires.values():
            if wire.status is WireStatus.PENDING:
                self.world.broke("a wire is pending for ever")
