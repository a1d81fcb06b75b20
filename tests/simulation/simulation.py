"""One run: what may happen next, as tuples of words that can be replayed, and what each of them does."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from pac.contracts.base import Event, Step
from pac.contracts.gateway import AgentAppDeleted
from pac.eventlog import StaleLease
from pac.runtime_notifier.errands import Errand

from .laws import FAILED, Laws
from .memory_log import MemoryJobs
from .services import Rules, Services, Setting, job_of
from .stage import Stage
from .users import Users
from .world import Pause, Violation, World

Action = tuple[str, ...]
VERSIONS = ("1.0.0", "2.0.0")
# How often each may happen in a run, unless its profile says otherwise.
BUDGET = {
    "deploy": 2,
    "upload": 0,
    "stored": 0,
    "retry": 0,
    "rollback": 0,
    "cancel": 1,
    "delete": 0,
    "delete_app": 0,
    "grant": 0,
    "fail": 1,  # a worker or a runtime says no, loses its work or hangs
    "timeout": 1,
    "expire": 0,  # a day without a slot
    "replay": 1,
    "crash": 1,
    "late": 1,
    "forget": 0,
    "poison": 0,
    "at_runtime": 0,  # not a number: cancels and timeouts only while a runtime is asked
}
COSTS = {"bad": "fail", "lost": "fail", "failed": "fail", "broken": "fail", "hung": "fail"}


@dataclass
class Work:
    """A job in a worker's hands. `paused` is None only until its first pause."""

    jobs: MemoryJobs
    run: Coroutine[Any, Any, None]
    payload: dict[str, object]
    paused: Pause


@dataclass
class Simulation:
    stage: Stage
    rules: Rules
    setting: Setting
    budget: dict[str, int]
    traced: bool = False
    done: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = BUDGET | self.budget
        world = self.world = World(trace=[] if self.traced else None)
        services = self.services = Services.started(self.stage, self.rules, self.setting, world)
        self.users = Users(world, services.packages, services.gateway.account_of, self.rules.rollback_waits)
        self.laws = Laws(world, services, self.users, self.setting.parallel)
        world.on_said = self.laws.said
        self.working: dict[tuple[str, str], Work] = {}
        self.sick: set[str] = set()
        services.open(self.setting)
        self._jobs = {"packages": services.packages.jobs, "runtime-notifier": services.notifier.jobs}
        self._handle: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
            "packages": services.packages.work.handle,
            "runtime-notifier": services.notifier.courier.handle,
        }

    # ---- what may happen -------------------------------------------------------------------------------------------

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
        for service, jobs in self._jobs.items():
            for key in jobs.rows:
                work = self.working.get((service, key))
                if work is None:
                    found.append(("take", service, key))
                elif self._may_go_on(service, work):
                    found.append(("work", service, key, "good"))
        runtime = self.services.notifier.runtime
        found += [("runtime", wire, "healthy") for wire, status in runtime.status.items() if status == "starting"]
        found += [("reconcile", str(app)) for app in self.services.notifier.forgotten()]
        found += [("resume", str(number)) for number in self.users.waiting]
        found += [("answer", str(one)) for one in self.users.answerable()]
        return found

    def parked(self) -> list[Action]:
        return [("retry", each.name, *place) for each in self.services.consumers.values() for place in each.heads()]

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
        if left["delete_app"]:
            found += [("delete_app", app) for app in apps]
        if left["stored"]:
            found += [("stored", str(package)) for package in self.users.usable()]
        if left["delete"]:
            found += [("delete", str(package)) for package in self.users.usable()]
        if left["retry"]:
            found += [("retry_of", str(one)) for one in packages.tables.submissions if hub.now(one).status in FAILED]
        if left["cancel"]:
            found += [("cancel", str(one)) for one in aims]
        if left["grant"]:
            found += [("grant", str(account)) for account in services.billing.accounts.rows]
        if left["timeout"]:
            found += [("timeout", str(one)) for one in aims if self._has_deadline(one)]
        if left["expire"]:
            found += [("expire", str(one)) for one, row in hub.tables.queue.items() if row["status"] == "held"]
        if left["fail"]:
            for (service, key), work in self.working.items():
                if service == "packages" and work.paused.at == "working" and key in packages.jobs.rows:
                    found += [("work", service, key, how) for how in ("bad", "lost")]
            for wire, status in services.notifier.runtime.status.items():
                if status == "starting":
                    found += [("runtime", wire, how) for how in ("failed", "broken", "hung")]
        if left["replay"]:
            found += [("replay", each.name, *place) for each in services.consumers.values() for place in each.read]
        if left["crash"]:
            found += [("crash", service, key) for service, key in self.working]
            found += [
                ("crash_at", each.name, *place, n)
                for each in services.consumers.values()
                for place in each.unread()
                for n in "12"
            ]
        if left["late"]:
            found += [("late", str(one)) for one, answer in self.users.answers.items() if answer is None]
        if left["forget"]:
            found += [("forget", app) for app in apps if services.notifier.runtime.running(UUID(app))]
        if left["poison"]:
            for each in services.consumers.values():
                unread = [(place, each.next(*place)) for place in each.unread()]
                found += [
                    ("poison", each.name, *place) for place, told in unread if told and _deployment_of(told.event)
                ]
        return found

    def _has_deadline(self, deployment_id: UUID) -> bool:
        now = self.services.hub.now(deployment_id)
        return now.due_at is not None and (now.live or now.status == "aborting")

    def enabled(self, action: Action) -> bool:
        return action in self.flowing() or action in self.parked() or action in self.wishes()

    # ---- what happens ----------------------------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        """Raises Violation when a law is seen to break."""
        kind = COSTS.get(action[-1], {"retry_of": "retry", "crash_at": "crash"}.get(action[0], action[0]))
        if kind in self.left and action[0] != "retry":
            self.left[kind] -= 1
        self.done.append(action)
        if action[0] not in ("deliver", "retry"):
            self.world.tell("» " + " ".join(action))
        self.world.advance(self.world.now)
        getattr(self, "_" + action[0])(*action[1:])
        self.laws.look_at_users()
        if self.world.broken:
            raise Violation(self.world.broken)

    def _deliver(self, name: str, topic: str, key: str) -> None:
        consumer = self.services.consumers[name]
        told = consumer.next(topic, key)
        if name == "deployments" and told is not None and isinstance(told.event, AgentAppDeleted):
            self.laws.app_deleted_at_hub(told.event.agent_app_id)
        consumer.deliver(topic, key)

    def _retry(self, name: str, topic: str, key: str) -> None:
        self.services.consumers[name].retry(topic, key)

    def _dispatch(self) -> None:
        self.services.hub.dispatch()

    def _begin(self, deployment_id: str) -> None:
        self.services.hub.check_deadline(UUID(deployment_id))

    def _timeout(self, deployment_id: str) -> None:
        self.services.hub.check_deadline(UUID(deployment_id))

    _expire = _timeout

    def _take(self, service: str, key: str) -> None:
        jobs = self._jobs[service]
        job = job_of(jobs, key)
        work = Work(jobs, self._handle[service](job), dict(job.payload), Pause("begun"))
        self.working[service, key] = work
        self._go_on(service, key, None)

    def _work(self, service: str, key: str, how: str) -> None:
        if how == "lost":
            jobs = self._jobs[service]
            self.laws.lost.add(UUID(key[:36]))
            del jobs.rows[key]
            self.working.pop((service, key)).run.close()
            return
        self._go_on(service, key, how)

    def _go_on(self, service: str, key: str, how: str | None) -> None:
        work = self.working[service, key]
        try:
            work.paused = work.run.send(how)
        except (StopIteration, StaleLease, OSError):
            del self.working[service, key]
        except Exception as crash:  # noqa: BLE001 - whatever a worker dies of is a finding
            del self.working[service, key]
            self.world.broke(f"{service} cannot do its work: {type(crash).__name__}: {crash}")

    def _runtime(self, wire: str, how: str) -> None:
        self.services.notifier.runtime.turn(wire, how)

    def _reconcile(self, app: str) -> None:
        self.services.notifier.reconcile(UUID(app))

    def _resume(self, number: str) -> None:
        self.users.resume(int(number))

    def _answer(self, deployment_id: str) -> None:
        self.users.answer(UUID(deployment_id))

    def _deploy(self, app: str, version: str, how: str) -> None:
        self.users.deploy(UUID(app), version, overwrite=how == "force")

    def _upload(self, app: str, version: str) -> None:
        self.users.upload(UUID(app), version)

    def _rollback(self, app: str) -> None:
        self.users.rollback(UUID(app))

    def _delete_app(self, app: str) -> None:
        self.services.gateway.delete_app(UUID(app))

    def _stored(self, package: str) -> None:
        self.users.deploy_stored(UUID(package))

    def _delete(self, package: str) -> None:
        self.users.delete(UUID(package))

    def _retry_of(self, deployment_id: str) -> None:
        self.users.retry(UUID(deployment_id))

    def _cancel(self, deployment_id: str) -> None:
        self.services.hub.cancel(UUID(deployment_id))

    def _grant(self, account: str) -> None:
        self.services.billing.grant(UUID(account), 2)

    def _replay(self, name: str, topic: str, key: str) -> None:
        self.services.consumers[name].read[topic, key] = 0

    def _crash(self, service: str, key: str) -> None:
        """The worker's process is killed; another one takes the job when its lease is over."""
        self.working.pop((service, key)).run.close()

    def _crash_at(self, name: str, topic: str, key: str, commit: str) -> None:
        """The consumer's process is killed at its n-th commit from now; it hears the message again."""
        log = self.services.consumers[name].log
        log.fails_at = int(commit)
        self._deliver(name, topic, key)
        log.fails_at = None

    def _late(self, deployment_id: str) -> None:
        self.users.answer_late(UUID(deployment_id))

    def _forget(self, app: str) -> None:
        self.services.notifier.runtime.forget(UUID(app))

    def _poison(self, name: str, topic: str, key: str) -> None:
        consumer = self.services.consumers[name]
        envelope = consumer.next(topic, key)
        assert envelope is not None
        consumer.poisoned.append(envelope)
        self.sick.add(str(_deployment_of(envelope.event)))

    # ---- the end of everything ---------------------------------------------------------------------------------------

    def settle(self, choose: Callable[[list[Action]], Action] = lambda actions: actions[0]) -> None:
        """Everything flows; then the laws of rest; then what was broken is mended, and again."""
        self._flow(choose)
        self.laws.at_rest(self.sick)
        self._raise()
        if self.sick:
            for consumer in self.services.consumers.values():
                consumer.poisoned.clear()
            self.sick.clear()
            self.world.tell("» broken messages are mended and replayed")
            self._flow(choose)
            self.laws.at_rest(set())
            self._raise()

    def _flow(self, choose: Callable[[list[Action]], Action]) -> None:
        for _ in range(60):
            while actions := self.flowing():
                self.act(choose(actions))
            before = self.world.events, sum(len(each.parked) for each in self.services.consumers.values())
            for action in self.parked():
                if action in self.parked():
                    self.act(action)
            if self.flowing() or before != (
                self.world.events,
                sum(len(each.parked) for each in self.services.consumers.values()),
            ):
                continue
            if not self._let_time_pass():
                return

    def _let_time_pass(self) -> bool:
        """Whether there was anything to wait for."""
        hub = self.services.hub
        asked = [one for one, row in hub.tables.queue.items() if row["attempt"] <= 4 and self._has_deadline(one)]
        for one in asked:
            if one in hub.tables.queue and self._has_deadline(one):
                self.act(("timeout", str(one)))
        if hung := "hung" in self.services.notifier.runtime.status.values() and bool(self.working):
            self.world.advance(self.world.now + timedelta(days=1))  # nobody waits for them any longer
        return bool(asked) or (hung and bool(self.flowing()))

    def _raise(self) -> None:
        if self.world.broken:
            raise Violation(self.world.broken)


def _deployment_of(event: Event) -> UUID | None:
    found: UUID | None = getattr(event, "deployment_id", None)
    return found
