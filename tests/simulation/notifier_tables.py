"""What runtime-notifier keeps in tables, in memory; and the world behind it: a runtime, and how it is looked at."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pac.eventlog import Transaction
from pac.runtime_notifier.errands import Because, Errand, Facts
from pac.runtime_notifier.fleet import LIVE, Fleet
from pac.runtime_notifier.running import App, Delivery, Give, Stop, Wire
from pac.runtime_notifier.runtime import CannotStop, Health, Runtime, StopTaken, Unknown
from pac.runtime_notifier.watching import Absence, Failed, GivenUp, NotGiven, Outcome, Ready, Wanted
from pac.runtime_notifier.webhooks.notices import Notice
from pac.runtime_notifier.webhooks.outbox import Outbox

from .catalog import Law
from .world import Journal, Pause, Rows, World


@dataclass(frozen=True)
class AppRow:
    is_known: bool
    is_deleted: bool
    current: UUID | None
    current_release: int
    stopped_release: int
    serving: str | None
    runtime: str


@dataclass
class Tables:
    journal: Journal
    apps: Rows[UUID, AppRow] = field(init=False)
    deliveries: Rows[UUID, tuple[UUID, Delivery, Facts]] = field(init=False)
    wires: Rows[str, tuple[UUID, Wire]] = field(init=False)

    def __post_init__(self) -> None:
        self.apps, self.deliveries, self.wires = Rows(self.journal), Rows(self.journal), Rows(self.journal)


@dataclass(frozen=True)
class MemoryFleet(Fleet):
    """`load` leaves out what the real one leaves out: settled wires and past deliveries that nobody asks for."""

    tables: Tables = field(kw_only=True)
    world: World = field(kw_only=True)

    async def load(self, tx: Transaction, app_id: UUID, *deployments: UUID) -> App:
        del tx
        row = self.tables.apps.get(app_id)
        if row is None:
            return App()
        wires = {
            wire.id: wire
            for of, wire in self.tables.wires.values()
            if of == app_id
            and (wire.status.value in LIVE or wire.id == row.serving or wire.deployment_id in deployments)
        }
        wanted = {*deployments, *(wire.deployment_id for wire in wires.values()), row.current}
        deliveries = {
            delivery.deployment_id: delivery
            for of, delivery, _ in self.tables.deliveries.values()
            if of == app_id and (delivery.is_open or delivery.deployment_id in wanted)
        }
        shared = {name: getattr(row, name) for name in AppRow.__dataclass_fields__}
        return App(**shared, deliveries=deliveries, wires=wires)

    async def facts(self, tx: Transaction, deployment_id: UUID) -> Facts:
        del tx
        return self.tables.deliveries[deployment_id][2]

    async def mark_orphan(self, tx: Transaction, app_id: UUID) -> None:
        """An alarm only."""

    async def _save_app(self, tx: Transaction, app_id: UUID, before: App, after: App) -> None:
        del tx, before
        self.tables.apps[app_id] = AppRow(**{name: getattr(after, name) for name in AppRow.__dataclass_fields__})

    async def _add_delivery(self, tx: Transaction, app_id: UUID, delivery: Delivery, facts: Facts) -> None:
        del tx
        self.tables.deliveries[delivery.deployment_id] = (app_id, delivery, facts)

    async def _save_delivery(self, tx: Transaction, delivery: Delivery) -> None:
        del tx
        app_id, _, facts = self.tables.deliveries[delivery.deployment_id]
        self.tables.deliveries[delivery.deployment_id] = (app_id, delivery, facts)

    async def _save_wire(self, tx: Transaction, app_id: UUID, wire: Wire) -> None:
        del tx
        self.tables.wires[wire.id] = (app_id, wire)

    async def _queue(
        self, tx: Transaction, app_id: UUID, wish: Give | Stop, because: Because, due_at: datetime | None
    ) -> None:
        await super()._queue(tx, app_id, wish, because, due_at)
        if isinstance(wish, Give) and self.tables.wires[wish.wire_id][1].attempt is None:
            given = self.tables.deliveries[wish.deployment_id][1]
            mine = [each for of, each, _ in self.tables.deliveries.values() if of == app_id]
            newer = any(each.is_open and each.release > given.release for each in mine)
            self.world.must(not newer, Law.OLDER_AGAIN)


# ---- the runtime -----------------------------------------------------------------------------------------------------


class MemoryRuntime(Runtime):
    """`local`: has stop, and of one app the one asked for last runs. Else, as the real one: no stop, all run."""

    def __init__(self, world: World, *, local: bool) -> None:
        self.world = world
        self.local = local
        self.app_of: dict[str, UUID] = {}
        self.status: dict[str, str] = {}  # starting, healthy, failed, broken (failed for good), hung, stopped

    def give(self, wire_id: str, app_id: UUID) -> None:
        if wire_id not in self.status:
            self.world.tell(f"   the runtime gets {wire_id}")
            self.app_of[wire_id], self.status[wire_id] = app_id, "starting"

    def turn(self, wire_id: str, status: str) -> None:
        self.status[wire_id] = status
        if status != "healthy":
            return
        app_id, order = self.app_of[wire_id], list(self.app_of)
        others = [other for other in order if other != wire_id and self.app_of[other] == app_id] if self.local else []
        if any(order.index(other) > order.index(wire_id) and self.status[other] == "healthy" for other in others):
            self.status[wire_id] = "stopped"  # a later one already serves
            return
        for other in others:
            if order.index(other) < order.index(wire_id) and self.status[other] in ("starting", "healthy", "hung"):
                self.status[other] = "stopped"

    def forget(self, app_id: UUID) -> None:
        """Restarted, with its state in memory."""
        for wire_id in [wire_id for wire_id, of in self.app_of.items() if of == app_id]:
            del self.app_of[wire_id], self.status[wire_id]

    def running(self, app_id: UUID) -> list[str]:
        return [wire_id for wire_id, of in self.app_of.items() if of == app_id and self.status[wire_id] == "healthy"]

    async def health(self, wire_id: str) -> Health | Unknown:
        if (status := self.status.get(wire_id)) is None:
            return Unknown()
        return Health(status, status == "healthy", None)

    async def stop(self, wire_id: str) -> StopTaken | CannotStop:
        if not self.local or wire_id not in self.status:
            return CannotStop()
        self.world.tell(f"   the runtime stops {wire_id}")
        if self.status[wire_id] in ("starting", "healthy", "hung"):
            self.status[wire_id] = "stopped"
        await Pause("stopped")  # and not answered yet
        return StopTaken()


@dataclass(frozen=True)
class MemoryWatch:
    """`Watch` without HTTP: asks before it gives, looks until it is settled; what comes between is the scheduler's."""

    world: World
    runtime: MemoryRuntime

    async def until_settled(self, errand: Errand, facts: Facts, wanted: Wanted, absence: Absence) -> Outcome:
        del facts, absence
        while True:
            overdue = errand.overdue(self.world.now)
            match self.runtime.status.get(errand.wire_id):
                case None if overdue or not await wanted():
                    return NotGiven()
                case None:
                    await Pause("giving")
                    self.runtime.give(errand.wire_id, errand.app_id)
                case "healthy":
                    return Ready()
                case "failed" | "stopped":
                    return Failed("it did not start", retriable=True)
                case "broken":
                    return Failed("it will never start", retriable=False)
                case "hung" if overdue or errand.is_again:
                    return GivenUp()
            await Pause("looking")

    def pause_seconds(self, errand: Errand) -> float:
        del errand
        return 60.0

    def may_look(self, errand: Errand) -> bool:
        """Whether a look would find more than the last one."""
        status = self.runtime.status.get(errand.wire_id)
        if errand.kind == "look":
            return status not in ("starting", "hung")
        if status == "hung":
            return errand.overdue(self.world.now) or errand.is_again
        return status != "starting"


class NoWebhooks(Outbox):
    """Nobody has registered one: nothing of what the simulation looks at follows from being told."""

    async def tell(self, tx: Transaction, notice: Notice, event_id: UUID) -> None:
        """Nobody hears it."""

    async def forget_app(self, tx: Transaction, app_id: UUID) -> None:
        """It had none."""
