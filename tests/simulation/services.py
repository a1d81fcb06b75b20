"""The five services in one process: the real consumers, deciders and workers, on tables in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from pac.billing.consumers import Consumers as BillingConsumers
from pac.billing.domain import ACCOUNT, HOLD, Grant, Hold
from pac.contracts.base import Event
from pac.contracts.errors import Refused
from pac.contracts.topics import ServiceName
from pac.deployments.consumers import Consumers as HubConsumers
from pac.deployments.domain import APP as APP_STATE
from pac.deployments.domain import CancelDeployment, Deployment, Policy, ReleaseApp, StopApp, decider
from pac.deployments.slots import Limits
from pac.deployments.sweeper import Sweeper
from pac.eventlog import Cause, Decider, Job
from pac.gateway.domain import ACCOUNT as GATEWAY_ACCOUNT
from pac.gateway.domain import APP, CreateApp, DeleteApp, OpenAccount
from pac.packages.consumers import Consumers as PackagesConsumers
from pac.packages.submitting import Submitting
from pac.runtime_notifier import reconciler
from pac.runtime_notifier.consumers import Consumers as NotifierConsumers
from pac.runtime_notifier.courier import Courier
from pac.runtime_notifier.errands import QUEUE
from pac.runtime_notifier.reconciler import Reconciler
from pac.runtime_notifier.running import DEFAULT_RUNTIME
from pac.runtime_notifier.runtimes import Runtimes
from pac.runtime_notifier.watching import Watch

from . import billing_tables, hub_tables, notifier_tables, packages_tables
from .delivery import Consumer, Handle
from .memory_log import MemoryJobs, MemoryLog, finished
from .stage import Stage
from .world import World

POLICY = Policy(attempts=2)
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True)
class Rules:
    """Rules of `flow.md` that live in I/O code, so that the simulation has to say them itself; a mutant drops one."""

    early_limit: int | None = None
    submission_stream: bool = True
    numbers_releases: bool = True
    guards_release: bool = True
    frees_slot_at_abort: bool = True
    overtakes: bool = True
    looks_at_pins: bool = True
    keeps_bytes: bool = True
    rollback_waits: bool = True
    delete_looks: bool = True
    hub: Callable[[Decider[Any, Any, Any]], Decider[Any, Any, Any]] = lambda real: real


@dataclass(frozen=True)
class Setting:
    """The surroundings of one run. Of two accounts the second has the second app."""

    apps: int = 1
    accounts: int = 1
    sign_up_credits: int = 20
    parallel: int = 2
    local_runtime: bool = True


class Packages:
    def __init__(self, world: World, stage: Stage, rules: Rules) -> None:
        self.tables = packages_tables.Tables(world.journal, rules.guards_release, rules.keeps_bytes)
        stream_of = None if rules.submission_stream else _on_package_stream
        self.log = MemoryLog(world, ServiceName.PACKAGES, self.tables, stream_of)
        self.jobs = MemoryJobs(self.log, "steps")
        real = PackagesConsumers(self.log, self.jobs, self.jobs, world.clock)
        self.submitting = Submitting(self.log, world.clock)
        nowhere = cast("Any", None)
        self.work = packages_tables.MemoryWork(
            self.log,
            nowhere,
            nowhere,
            cast("Any", packages_tables.Objects(self.tables)),
            nowhere,
            Path(),
            world.clock,
            world=world,
            tables=self.tables,
        )
        stage.loop.world = world
        handlers: dict[str, Handle] = {
            "deployments": real.on_deployments_event,
            "billing": real.on_billing_event,
            "gateway": real.on_gateway_event,
        }
        self.consumer = Consumer(world, self.log, handlers, rules.early_limit)


def _on_package_stream(event: Event, stream: str) -> str:
    package_id = getattr(event, "package_id", None)
    return f"package-{package_id}" if package_id else stream


class Hub:
    def __init__(self, world: World, rules: Rules, setting: Setting) -> None:
        self.world = world
        self.tables = hub_tables.Tables(
            world.journal,
            rules.overtakes,
            rules.frees_slot_at_abort,
            rules.numbers_releases,
            rules.looks_at_pins,
        )
        self.log = MemoryLog(world, ServiceName.DEPLOYMENTS, self.tables)
        self.decider = rules.hub(decider(POLICY))
        self.queue = hub_tables.MemoryQueue(tables=self.tables)
        self.dispatcher = hub_tables.MemoryDispatcher(
            self.log,
            self.decider,
            self.queue,
            Limits(setting.parallel, 3),
            world.clock,
            tables=self.tables,
            world=world,
        )
        self.sweeper = Sweeper(self.log, self.decider, self.queue, cast("Any", None), world.clock)
        real = HubConsumers(self.log, self.decider, self.queue, world.clock)
        handlers: dict[str, Handle] = {
            "gateway": real.on_gateway_event,
            "packages": real.on_package_event,
            "billing": real.on_billing_event,
            "runtime-notifier": real.on_runtime_event,
        }
        self.consumer = Consumer(world, self.log, handlers, rules.early_limit)

    def set_app(self, app_id: UUID, command: ReleaseApp | StopApp) -> None:
        """As `…/release` and `…/stop` do."""

        async def decided() -> None:
            async with self.log.transaction(APP_STATE.stream(app_id), cause=Cause("user", app_id)) as tx:
                events, after = await tx.decide(APP_STATE, app_id, command)
                if events:
                    await self.queue.record_app(tx, app_id, after.state)

        finished(decided())

    def now(self, deployment_id: UUID) -> Deployment:
        now: Deployment = self.log.recorded(self.decider, self.decider.stream(deployment_id)).state
        return now

    def check_deadline(self, deployment_id: UUID) -> None:
        """Time passes until this deployment's deadline, and the sweeper looks at this one."""
        due_at = self.now(deployment_id).due_at
        assert due_at is not None
        self.world.advance(due_at)
        finished(self.sweeper._check(deployment_id, Cause("deployments", deployment_id)))

    def dispatch(self) -> None:
        finished(self.dispatcher.dispatch())

    def cancel(self, deployment_id: UUID) -> str | None:
        """The route is not built yet; it will be this command. Gives the code of a refusal."""
        command = CancelDeployment(deployment_id, self.world.now)
        try:
            finished(
                self.log.execute(
                    self.decider,
                    deployment_id,
                    command,
                    cause=Cause("user", deployment_id),
                    then=self.queue.record,
                )
            )
        except Refused as refused:
            self.world.tell(f"   refused: {refused.code}")
            return str(refused.code)
        return None


class Billing:
    def __init__(self, world: World, rules: Rules, setting: Setting) -> None:
        self.world = world
        self.accounts = billing_tables.MemoryAccounts(world.journal)
        self.log = MemoryLog(world, ServiceName.BILLING)
        real = BillingConsumers(self.log, self.accounts, setting.sign_up_credits)
        handlers: dict[str, Handle] = {"gateway": real.on_gateway_event, "deployments": real.on_deployments_event}
        self.consumer = Consumer(world, self.log, handlers, rules.early_limit)

    def hold(self, deployment_id: UUID) -> Hold:
        return self.log.recorded(HOLD, HOLD.stream(deployment_id)).state

    def grant(self, account_id: UUID, amount: int) -> None:
        finished(self._grant(account_id, amount))

    async def _grant(self, account_id: UUID, amount: int) -> None:
        """As the operator's request in billing's `api.py`."""
        async with self.log.transaction(ACCOUNT.stream(account_id), cause=Cause("operator", account_id)) as tx:
            locked = await self.accounts.prepare(tx, account_id)
            command = Grant(account_id, self.world.fresh("grant"), amount, locked.balance.available, self.world.now)
            granted, _ = await tx.decide(ACCOUNT, account_id, command)
            await self.accounts.book(tx, locked, granted)


class Notifier:
    def __init__(self, world: World, rules: Rules, setting: Setting) -> None:
        self.tables = notifier_tables.Tables(world.journal)
        self.log = MemoryLog(world, ServiceName.RUNTIME_NOTIFIER, self.tables)
        self.jobs = MemoryJobs(self.log, QUEUE)
        self.runtime = notifier_tables.MemoryRuntime(world, local=setting.local_runtime)
        self.fleet = notifier_tables.MemoryFleet(self.jobs, 600, tables=self.tables, world=world)
        self.watch = notifier_tables.MemoryWatch(world, self.runtime)
        runtimes = Runtimes({DEFAULT_RUNTIME: self.runtime})
        self.courier = Courier(self.log, self.fleet, runtimes, cast("Watch", self.watch))
        self.reconciler = Reconciler(self.log, self.fleet, runtimes, 1)
        real = NotifierConsumers(self.log, self.fleet, notifier_tables.NoWebhooks(self.jobs))
        handlers: dict[str, Handle] = {"gateway": real.on_gateway_event, "deployments": real.on_deployments_event}
        self.consumer = Consumer(world, self.log, handlers, rules.early_limit)

    def forgotten(self) -> list[UUID]:
        """Apps of which what serves does not any more: the reconciler will notice."""
        return [
            app_id
            for app_id, row in self.tables.apps.items()
            if row.serving is not None and reconciler.is_gone(finished(self.runtime.health(row.serving)))
        ]

    def reconcile(self, app_id: UUID) -> None:
        finished(self.reconciler._compare(app_id, lost=self.tables.apps[app_id].serving))


class Gateway:
    def __init__(self, world: World) -> None:
        self.world = world
        self.log = MemoryLog(world, ServiceName.GATEWAY)
        self.account_of: dict[UUID, UUID] = {}
        self.live: list[UUID] = []

    def open_account(self) -> UUID:
        account_id = self.world.fresh("account")
        command = OpenAccount(account_id, self.world.now)
        finished(self.log.execute(GATEWAY_ACCOUNT, account_id, command, cause=Cause("operator", account_id)))
        return account_id

    def create_app(self, account_id: UUID) -> None:
        app_id = self.world.fresh("app")
        command = CreateApp(app_id, account_id, self.world.now)
        finished(self.log.execute(APP, app_id, command, cause=Cause("user", app_id)))
        self.account_of[app_id] = account_id
        self.live.append(app_id)

    def delete_app(self, app_id: UUID) -> None:
        command = DeleteApp(app_id, self.account_of[app_id], self.world.now)
        finished(self.log.execute(APP, app_id, command, cause=Cause("user", app_id)))
        self.live.remove(app_id)


@dataclass
class Services:
    world: World
    gateway: Gateway
    packages: Packages
    hub: Hub
    billing: Billing
    notifier: Notifier
    consumers: dict[str, Consumer] = field(init=False)

    def __post_init__(self) -> None:
        all_of = (self.packages, self.hub, self.billing, self.notifier)
        self.consumers = {service.consumer.name: service.consumer for service in all_of}

    @classmethod
    def started(cls, stage: Stage, rules: Rules, setting: Setting, world: World) -> "Services":
        return cls(
            world,
            Gateway(world),
            Packages(world, stage, rules),
            Hub(world, rules, setting),
            Billing(world, rules, setting),
            Notifier(world, rules, setting),
        )

    def open(self, setting: Setting) -> None:
        accounts = [self.gateway.open_account() for _ in range(setting.accounts)]
        for number in range(setting.apps):
            self.gateway.create_app(accounts[number % len(accounts)])


def job_of(jobs: MemoryJobs, key: str) -> Job:
    return cast("Job", jobs.taken(key))
