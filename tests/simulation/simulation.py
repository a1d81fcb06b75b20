"""One run: what each action does, and how everything comes to rest."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from pac.deployments.domain import ReleaseApp, StopApp
from pac.eventlog import StaleLease

from .catalog import Law
from .laws import FAILED, Laws
from .possible import BUDGET, COSTS, Action, Possible, Work, deployment_of
from .rest import Rest
from .services import Rules, Services, Setting, job_of
from .stage import Stage
from .users import Users
from .world import Pause, Violation, World


@dataclass
class Simulation:
    stage: Stage
    rules: Rules
    setting: Setting
    budget: dict[str, int]
    traced: bool = False
    done: list[Action] = field(default_factory=list)

    def __post_init__(self) -> None:
        world = self.world = World(trace=[] if self.traced else None)
        services = self.services = Services.started(self.stage, self.rules, self.setting, world)
        rules, account_of = self.rules, services.gateway.account_of
        self.users = Users(world, services.packages, account_of, rules.rollback_waits, rules.delete_looks)
        self.laws = Laws(world, services, self.users, self.setting.parallel)
        world.on_said = self.laws.said
        self.working: dict[tuple[str, str], Work] = {}
        self.sick: set[str] = set()
        services.open(self.setting)
        jobs = self._jobs = {"packages": services.packages.jobs, "runtime-notifier": services.notifier.jobs}
        self.rest = Rest(world, services, self.users, self.laws)
        self.may = Possible(services, self.users, self.laws, BUDGET | self.budget, jobs, self.working)
        self._handle: dict[str, Callable[..., Coroutine[Any, Any, None]]] = {
            "packages": services.packages.work.handle,
            "runtime-notifier": services.notifier.courier.handle,
        }

    # ---- what happens ----------------------------------------------------------------------------------------------

    def act(self, action: Action) -> None:
        """Raises Violation when a law is seen to break."""
        kind = COSTS.get(action[-1], {"retry_of": "retry"}.get(action[0], action[0]))
        if kind in self.may.left and action[0] != "retry":
            self.may.left[kind] -= 1
        self.done.append(action)
        if action[0] not in ("deliver", "retry"):
            self.world.tell("» " + " ".join(action))
        self.world.advance(self.world.now)
        getattr(self, "_" + action[0])(*action[1:])
        self.laws.look()
        if self.world.broken:
            raise Violation(self.world.broken)

    def _deliver(self, name: str, topic: str, key: str) -> None:
        self.services.consumers[name].deliver(topic, key)

    def _retry(self, name: str, topic: str, key: str) -> None:
        self.services.consumers[name].retry(topic, key)

    def _dispatch(self) -> None:
        self.services.hub.dispatch()

    def _begin(self, deployment_id: str) -> None:
        self.services.hub.check_deadline(UUID(deployment_id))

    def _timeout(self, deployment_id: str) -> None:
        self._meet("timeout", deployment_id)
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
            told = f"{service} cannot do its work: {type(crash).__name__}: {crash}"
            self.world.must(False, Law.ERROR, told)  # noqa: FBT003 - it does not hold

    def _runtime(self, wire: str, how: str) -> None:
        self.world.met[f"runtime {how}"] += 1
        self.services.notifier.runtime.turn(wire, "healthy" if how == "awake" else how)

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

    def _unpin(self, app: str) -> None:
        account_id = self.services.gateway.account_of[UUID(app)]
        self.services.hub.set_app(UUID(app), ReleaseApp(account_id, UUID(app), self.world.now))

    def _stop(self, app: str) -> None:
        hub, account_id = self.services.hub, self.services.gateway.account_of[UUID(app)]
        release = hub.tables.app(UUID(app)).current_release
        hub.set_app(UUID(app), StopApp(account_id, UUID(app), release, self.world.now))

    def _delete_app(self, app: str) -> None:
        for row in self.services.hub.tables.queue.values():
            if str(row["agent_app_id"]) == app:
                self._meet("delete_app", str(row["deployment_id"]))
        self.services.gateway.delete_app(UUID(app))

    def _stored(self, package: str) -> None:
        self.users.deploy_stored(UUID(package))

    def _delete(self, package: str) -> None:
        self.users.delete(UUID(package))

    def _retry_of(self, deployment_id: str) -> None:
        self.users.retry(UUID(deployment_id))

    def _cancel(self, deployment_id: str) -> None:
        """As the table of states says: refused before the hub knows, past the point of no return, and at the end."""
        self._meet("cancel", deployment_id)
        hub, one = self.services.hub, UUID(deployment_id)
        before = hub.now(one).status
        refusals = {"absent": "not_found", "finalizing": "too_late", "completed": "already_finished"}
        expected = "already_finished" if before in FAILED else refusals.get(before)
        refused = hub.cancel(one)
        goes = hub.now(one).status == ("aborting" if expected is None else before)
        self.world.must(refused == expected and goes, Law.CANCEL, f"{before}: {refused}")

    _cancel_in_vain = _cancel

    def _grant(self, account: str) -> None:
        self.services.billing.grant(UUID(account), 2)

    def _replay(self, name: str, topic: str, key: str) -> None:
        self.services.consumers[name].read[topic, key] = 0

    def _crash(self, service: str, key: str) -> None:
        """The worker's process is killed; another one takes the job when its lease is over."""
        self.world.met[f"crash {service} {self.working[service, key].paused.at}"] += 1
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
        self.sick.add(str(deployment_of(envelope.event)))

    def _meet(self, what: str, deployment_id: str) -> None:
        now = self.services.hub.now(UUID(deployment_id))
        self.world.met[f"{what} {now.step if now.status == 'processing' else now.status}"] += 1

    # ---- the end of everything ---------------------------------------------------------------------------------------

    def settle(self, choose: Callable[[list[Action]], Action] = lambda actions: actions[0]) -> None:
        """Everything flows; then the laws of rest; then what was broken is mended, and again."""
        self.may.left["stubborn"] = 0
        self._flow(choose)
        self.rest.look(self.sick)
        self._raise()
        if self.sick:
            for consumer in self.services.consumers.values():
                consumer.poisoned.clear()
            self.sick.clear()
            self.world.tell("» broken messages are mended and replayed")
            self._flow(choose)
            self.rest.look(set())
            self._raise()

    def _flow(self, choose: Callable[[list[Action]], Action]) -> None:
        for _ in range(60):
            while actions := self.may.flowing():
                self.act(choose(actions))
            before = self.world.events, sum(len(each.parked) for each in self.services.consumers.values())
            for action in self.may.parked():
                if action in self.may.parked():
                    self.act(action)
            if self.may.flowing() or before != (
                self.world.events,
                sum(len(each.parked) for each in self.services.consumers.values()),
            ):
                continue
            if not self._let_time_pass():
                return

    def _let_time_pass(self) -> bool:
        """Whether there was anything to wait for."""
        hub = self.services.hub
        asked = [one for one, row in hub.tables.queue.items() if row["attempt"] <= 4 and self.may.has_deadline(one)]
        for one in asked:
            if one in hub.tables.queue and self.may.has_deadline(one):
                self.act(("timeout", str(one)))
        if hung := "hung" in self.services.notifier.runtime.status.values() and bool(self.working):
            self.world.advance(self.world.now + timedelta(days=1))  # nobody waits for them any longer
        return bool(asked) or (hung and bool(self.may.flowing()))

    def _raise(self) -> None:
        if self.world.broken:
            raise Violation(self.world.broken)
