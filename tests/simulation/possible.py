"""What may happen next, as tuples of words that can be replayed: what flows by itself, and what is wished or fails."""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from pac.contracts.base import Event, Step
from pac.runtime_notifier.errands import Errand

from .laws import FAILED, Laws
from .memory_log import MemoryJobs
from .services import Services
from .users import Users
from .world import Pause

Action = tuple[str, ...]
VERSIONS = ("1.0.0", "2.0.0")
# How often each may happen in a run, unless its profile says otherwise.
BUDGET = {
    "deploy": 2,
    "upload": 0,
    "stored": 0,
    "retry": 0,
    "rollback": 0,
    "unpin": 0,
    "stop": 0,
    "cancel": 1,
    "cancel_in_vain": 1,  # before the hub knows of it, or after its end
    "delete": 0,
    "delete_app": 0,
    "grant": 0,
    "fail": 2,  # a worker or a runtime says no, loses its work or hangs
    "timeout": 1,
    "expire": 1,  # a day without a slot
    "replay": 1,
    "crash": 2,  # of a worker
    "crash_at": 1,  # of a consumer
    "late": 1,
    "forget": 0,
    "wake": 0,  # a runtime that hung turns healthy after it was given up
    "poison": 0,
    # Not numbers:
    "at_runtime": 0,  # cancels and timeouts only while a runtime is asked
    "stubborn": 0,  # runtimes fail as often as they may before they turn healthy
    "delete_late": 0,  # apps are deleted only while a deployment of theirs is asked for, finalizing or aborting
}
COSTS = {"bad": "fail", "lost": "fail", "failed": "fail", "broken": "fail", "hung": "fail", "awake": "wake"}


@dataclass
class Work:
    """A job in a worker's hands. `paused` is None only until its first pause."""

    jobs: MemoryJobs
    run: Coroutine[Any, Any, None]
    payload: dict[str, object]
    paused: Pause


@dataclass
class Possible:
    """`left`: how often each kind may still happen. `working`: the jobs in workers' hands, by service and key."""

    services: Services
    users: Users
    laws: Laws
    left: dict[str, int]
    jobs: dict[str, MemoryJobs]
    working: dict[tuple[str, str], Work]

    def flowing(self) -> list[Action]:
        """What happens sooner or later without anybody's wish."""
        found: list[Action] = []
        for consumer in self.services.consumers.values():
            found += [("deliver", consumer.name, *place) for place in consumer.unread()]
        hub = self.services.hub
        tables = hub.tables
        limits = hub.dispatcher.limits
        if tables.overtaken() or tables.chosen(limits.per_account, limits.overall, ()):
            found.append(("dispatch",))
        found += [
            ("begin", str(one))
            for one, row in tables.queue.items()
            if row["status"] == "processing" and not hub.now(one).live
        ]
        for service, jobs in self.jobs.items():
            for key in jobs.rows:
                work = self.working.get((service, key))
                if work is None:
                    if self._may_be_taken(service, jobs.rows[key].payload):
                        found.append(("take", service, key))
                elif self._may_go_on(service, work):
                    found.append(("work", service, key, "good"))
        runtime = self.services.notifier.runtime
        if not (self.left["stubborn"] and self.left["fail"]):
            found += [("runtime", wire, "healthy") for wire, status in runtime.status.items() if status == "starting"]
        found += [("reconcile", str(app)) for app in self.services.notifier.forgotten()]
        found += [("resume", str(number)) for number in self.users.waiting]
        found += [("answer", str(one)) for one in self.users.answerable()]
        return found

    def parked(self) -> list[Action]:
        return [("retry", each.name, *place) for each in self.services.consumers.values() for place in each.heads()]

    def _may_be_taken(self, service: str, payload: dict[str, Any]) -> bool:
        """What was given up is looked at when the runtime has something else to say: a look before changes nothing."""
        if service == "packages" or payload["kind"] != "look":
            return True
        return self.services.notifier.watch.may_look(Errand.model_validate(payload))

    def _may_go_on(self, service: str, work: Work) -> bool:
        if service == "packages" or work.paused.at != "looking":
            return True
        notifier = self.services.notifier
        return notifier.watch.may_look(Errand.model_validate(work.payload))

    def wishes(self) -> list[Action]:  # noqa: C901, PLR0912 - one line a kind
        """What users want, and what goes wrong; each as often as its budget says."""
        left, found = self.left, list[Action]()
        services, hub, packages = self.services, self.services.hub, self.services.packages
        apps = [str(app) for app in services.gateway.live]
        asked = {one for one, row in hub.tables.queue.items() if row["step"] == Step.NOTIFY_RUNTIME}
        aims = [one for one in hub.tables.queue if one in asked or not left["at_runtime"]]
        if left["deploy"]:
            found += [
                ("deploy", app, version, how) for app in apps for version in VERSIONS for how in ("plain", "force")
            ]
        if left["upload"]:
            found += [("upload", app, version) for app in apps for version in VERSIONS]
        if left["rollback"]:
            found += [("rollback", app) for app in apps if len(self.laws.history.get(UUID(app), ())) > 1]
        if left["unpin"]:
            found += [("unpin", app) for app in apps if hub.tables.app(UUID(app)).pinned_to]
        if left["stop"]:
            found += [("stop", app) for app in apps if hub.tables.app(UUID(app)).current_release]
        if left["delete_app"]:
            late = {str(row["agent_app_id"]) for one, row in hub.tables.queue.items() if self._is_late(one, row)}
            found += [("delete_app", app) for app in apps if app in late or not left["delete_late"]]
        if left["stored"]:
            found += [("stored", str(package)) for package in self.users.usable()]
        if left["delete"]:
            found += [("delete", str(package)) for package in self.users.usable()]
        if left["retry"]:
            found += [("retry_of", str(one)) for one in packages.tables.submissions if hub.now(one).status in FAILED]
        if left["cancel"]:
            found += [("cancel", str(one)) for one in aims]
        if left["cancel_in_vain"] and left["cancel"]:
            found += [
                ("cancel_in_vain", str(one)) for one in packages.tables.submissions if one not in hub.tables.queue
            ]
        if left["grant"]:
            found += [("grant", str(account)) for account in services.billing.accounts.rows]
        if left["timeout"]:
            found += [("timeout", str(one)) for one in aims if self.has_deadline(one)]
        if left["expire"]:
            found += [("expire", str(one)) for one, row in hub.tables.queue.items() if row["status"] == "held"]
        if left["fail"]:
            for (service, key), work in self.working.items():
                if service == "packages" and work.paused.at == "working" and key in packages.jobs.rows:
                    found += [("work", service, key, how) for how in ("bad", "lost")]
            for wire, status in services.notifier.runtime.status.items():
                if status == "starting":
                    found += [("runtime", wire, how) for how in ("failed", "broken", "hung")]
        if left["wake"]:
            given_up = [wire for wire, status in services.notifier.runtime.status.items() if status == "hung"]
            asked_for = self.jobs["runtime-notifier"].rows
            found += [("runtime", wire, "awake") for wire in given_up if wire not in asked_for]
        return found + self._faults()

    def _faults(self) -> list[Action]:
        """What befalls processes and messages."""
        left, services, found = self.left, self.services, list[Action]()
        if left["replay"]:
            found += [("replay", each.name, *place) for each in services.consumers.values() for place in each.read]
        if left["crash"]:
            found += [("crash", service, key) for service, key in self.working]
        if left["crash_at"]:
            found += [
                ("crash_at", each.name, *place, n)
                for each in services.consumers.values()
                for place in each.unread()
                for n in "12"
            ]
        if left["late"]:
            found += [("late", str(one)) for one, answer in self.users.answers.items() if answer is None]
        if left["forget"]:
            found += [("forget", str(app)) for app in services.gateway.live if services.notifier.runtime.running(app)]
        if left["poison"]:
            for each in services.consumers.values():
                unread = [(place, each.next(*place)) for place in each.unread()]
                found += [("poison", each.name, *place) for place, told in unread if told and deployment_of(told.event)]
        return found

    def has_deadline(self, deployment_id: UUID) -> bool:
        now = self.services.hub.now(deployment_id)
        return now.due_at is not None and (now.live or now.status == "aborting")

    def _is_late(self, deployment_id: UUID, row: Mapping[str, object]) -> bool:
        began = self.services.hub.now(deployment_id).step is not None
        return (
            row["step"] == Step.NOTIFY_RUNTIME
            or row["status"] == "finalizing"
            or (row["status"] == "aborting" and began)
        )

    def enabled(self, action: Action) -> bool:
        return action in self.flowing() or action in self.parked() or action in self.wishes()


def deployment_of(event: Event) -> UUID | None:
    found: UUID | None = getattr(event, "deployment_id", None)
    return found
