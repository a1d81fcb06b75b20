"""What runs of one agent app, and what should: the rules of undoing. Pure.

Per app one thing should run: the highest release among the current one and the open deliveries. Whatever changes
that, or what serves, is followed by `compared`, which asks for what is missing. `asked` is what is to be done
about it in the world: wires to give to the runtime and wires to stop there.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from uuid import UUID

DEFAULT_RUNTIME = "default"


class WireStatus(StrEnum):
    PENDING = "pending"  # to be given, or given and not settled
    HEALTHY = "healthy"
    FAILED = "failed"
    STOPPED = "stopped"  # by us, or because another took its place
    LOST = "lost"  # the runtime does not know it any more


@dataclass(frozen=True)
class Wire:
    """One giving of a package to the runtime, under an id of its own: a failed id is dead for a runtime.

    `attempt` is the hub's, or None when the notifier gives something again of its own accord. `runtime` is the one it
    is given to, whatever the app is set to later.
    """

    id: str
    deployment_id: UUID
    attempt: int | None
    status: WireStatus = WireStatus.PENDING
    runtime: str = DEFAULT_RUNTIME


@dataclass(frozen=True)
class Delivery:
    """`closed`: aborted. `done`: completed. `ready`: the hub was told so once. `misses`: givings again that failed."""

    deployment_id: UUID
    release: int
    attempt: int = 0
    closed: bool = False
    done: bool = False
    ready: bool = False
    given_again: int = 0
    misses: int = 0

    @property
    def is_open(self) -> bool:
        return not self.closed and not self.done


@dataclass(frozen=True)
class App:
    """`serving` is the wire that turned healthy last. Settled wires and deliveries of the past may be left out.

    `runtime` is where the next wire is given.
    """

    is_known: bool = False
    is_deleted: bool = False
    current: UUID | None = None
    current_release: int = 0
    stopped_release: int = 0  # nothing up to it shall run
    serving: str | None = None
    runtime: str = DEFAULT_RUNTIME
    deliveries: Mapping[UUID, Delivery] = field(default_factory=dict)
    wires: Mapping[str, Wire] = field(default_factory=dict)
    asked: tuple["Give | Stop", ...] = ()

    def wires_of(self, deployment_id: UUID, *status: WireStatus) -> list[Wire]:
        return [wire for wire in self.wires_in(*status) if wire.deployment_id == deployment_id]

    def wires_in(self, *status: WireStatus) -> list[Wire]:
        return [wire for wire in self.wires.values() if wire.status in status]

    def with_delivery(self, delivery: Delivery) -> "App":
        return replace(self, deliveries={**self.deliveries, delivery.deployment_id: delivery})

    def with_wire(self, wire: Wire) -> "App":
        return replace(self, wires={**self.wires, wire.id: wire})

    def asking(self, *wishes: "Give | Stop") -> "App":
        new = tuple(wish for wish in wishes if wish not in self.asked)
        return replace(self, asked=(*self.asked, *new))


@dataclass(frozen=True)
class Give:
    wire_id: str
    deployment_id: UUID
    misses: int = 0
    runtime: str = DEFAULT_RUNTIME


@dataclass(frozen=True)
class Stop:
    wire_id: str
    deployment_id: UUID
    runtime: str = DEFAULT_RUNTIME


def should_run(app: App) -> Delivery | None:
    """The highest release among the current one and the open deliveries; nothing of a deleted app.

    A stopped one is not current any more; what was being delivered meanwhile is of later.
    """
    if app.is_deleted:
        return None
    candidates = [delivery for delivery in app.deliveries.values() if delivery.is_open]
    if app.current is not None and app.current_release > app.stopped_release:
        candidates.append(app.deliveries[app.current])
    return max(candidates, key=lambda delivery: delivery.release, default=None)


def compared(app: App) -> App:
    """Asks for what should run where something else serves, and to stop what serves where nothing should run."""
    wanted = should_run(app)
    serving = app.wires[app.serving] if app.serving is not None else None
    if wanted is None:
        return app.asking(*_stops([serving])) if serving else app
    if serving is not None and serving.deployment_id == wanted.deployment_id:
        return app
    if not (wanted.done or wanted.ready):
        return app  # the hub still asks for it by attempts of its own
    if app.wires_of(wanted.deployment_id, WireStatus.PENDING):
        return app
    number = wanted.given_again + 1
    wire = Wire(f"{wanted.deployment_id}-r{number}", wanted.deployment_id, None, runtime=app.runtime)
    given = app.with_delivery(replace(wanted, given_again=number)).with_wire(wire)
    return given.asking(Give(wire.id, wire.deployment_id, wanted.misses, wire.runtime))


def started(app: App, deployment_id: UUID, release: int, attempt: int) -> App:
    """The hub wants it delivered. For a deleted app nothing is given: the hub is about to abort it."""
    delivery = app.deliveries.get(deployment_id) or Delivery(deployment_id, release)
    app = app.with_delivery(replace(delivery, attempt=max(delivery.attempt, attempt)))
    wire = Wire(f"{deployment_id}-a{attempt}", deployment_id, attempt, runtime=app.runtime)
    if app.is_deleted or wire.id in app.wires:
        return app
    return app.with_wire(wire).asking(Give(wire.id, deployment_id, runtime=wire.runtime))


def aborted(app: App, deployment_id: UUID) -> App:
    if (delivery := app.deliveries.get(deployment_id)) is None:
        return app
    app = app.with_delivery(replace(delivery, closed=True))
    return compared(app.asking(*_stops(app.wires_of(deployment_id, WireStatus.PENDING, WireStatus.HEALTHY))))


def completed(app: App, deployment_id: UUID, release: int, *, current: bool) -> App:
    """`current` moves to a higher release only, whatever order the news comes in."""
    delivery = app.deliveries.get(deployment_id) or Delivery(deployment_id, release)
    app = app.with_delivery(replace(delivery, done=True))
    if current and release > app.current_release:
        app = replace(app, current=deployment_id, current_release=release)
    return compared(app)


def stopped(app: App, release: int) -> App:
    """What serves goes at once, also where something later is on its way."""
    app = replace(app, stopped_release=max(app.stopped_release, release))
    live = app.wires_in(WireStatus.PENDING, WireStatus.HEALTHY)
    going = [wire for wire in live if app.deliveries[wire.deployment_id].release <= app.stopped_release]
    return compared(app.asking(*_stops(going)))


def deleted(app: App) -> App:
    app = replace(app, is_known=True, is_deleted=True)
    return compared(app.asking(*_stops(app.wires_in(WireStatus.PENDING, WireStatus.HEALTHY))))


def turned_ready(app: App, wire_id: str, *, told: bool) -> App:
    """`told`: the hub is told of it, as the answer to its attempt."""
    wire = replace(app.wires[wire_id], status=WireStatus.HEALTHY)
    others = [other for other in app.wires.values() if other.status is WireStatus.HEALTHY and other.id != wire_id]
    for other in others:
        app = app.with_wire(replace(other, status=WireStatus.STOPPED))
    delivery = app.deliveries[wire.deployment_id]
    app = app.with_delivery(replace(delivery, ready=delivery.ready or told, misses=0)).with_wire(wire)
    return compared(replace(app, serving=wire_id).asking(*_stops(others)))


def answered_by_another(app: App, wire_id: str) -> App:
    """The same deployment already serves under an earlier wire: this one need not be given, the answer is the same."""
    wire = app.wires[wire_id]
    delivery = app.deliveries[wire.deployment_id]
    app = app.with_wire(replace(wire, status=WireStatus.STOPPED))
    return compared(app.with_delivery(replace(delivery, ready=True)))


def turned_failed(app: App, wire_id: str) -> App:
    return _gone(app, wire_id, WireStatus.FAILED)


def turned_stopped(app: App, wire_id: str) -> App:
    return _gone(app, wire_id, WireStatus.STOPPED)


def was_lost(app: App, wire_id: str) -> App:
    """The runtime has forgotten it, as one does that keeps its state in memory and was restarted."""
    return _gone(app, wire_id, WireStatus.LOST)


def _gone(app: App, wire_id: str, status: WireStatus) -> App:
    wire = app.wires[wire_id]
    if status is WireStatus.FAILED and wire.attempt is None:
        delivery = app.deliveries[wire.deployment_id]
        app = app.with_delivery(replace(delivery, misses=delivery.misses + 1))
    app = app.with_wire(replace(wire, status=status))
    return compared(replace(app, serving=None) if app.serving == wire_id else app)


def _stops(wires: Iterable[Wire]) -> list[Give | Stop]:
    return [Stop(wire.id, wire.deployment_id, wire.runtime) for wire in wires]
