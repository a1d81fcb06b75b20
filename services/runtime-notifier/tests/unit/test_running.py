"""Every order of a deployment's news and of a runtime's: at rest, what should run runs."""

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from pac.runtime_notifier import running
from pac.runtime_notifier.running import App, Delivery, Give, Stop, Wire, WireStatus

D1, D2, D3 = UUID(int=1), UUID(int=2), UUID(int=3)
KNOWN = App(is_known=True)


def settled(app: App) -> App:
    return replace(app, asked=())


def serving(app: App, deployment_id: UUID, release: int, *, complete: bool = True) -> App:
    app = running.started(settled(app), deployment_id, release, 1)
    app = running.turned_ready(app, f"{deployment_id}-a1", told=True)
    return settled(running.completed(app, deployment_id, release, current=True) if complete else app)


def test_a_step_gives_the_package_under_an_id_of_its_attempt() -> None:
    app = running.started(KNOWN, D1, 1, 2)
    assert app.asked == (Give(f"{D1}-a2", D1),)


def test_an_attempt_is_given_once() -> None:
    app = settled(running.started(KNOWN, D1, 1, 1))
    assert running.started(app, D1, 1, 1).asked == ()


def test_nothing_is_given_for_a_deleted_app() -> None:
    assert running.started(running.deleted(KNOWN), D1, 1, 1).asked == ()


def test_ready_after_the_abort_gives_the_current_release_again() -> None:
    app = settled(running.started(serving(KNOWN, D1, 1), D2, 2, 1))
    app = settled(running.aborted(app, D2))
    app = running.turned_ready(app, f"{D2}-a1", told=False)
    assert Give(f"{D1}-r1", D1) in app.asked


def test_aborted_after_ready_gives_the_current_release_again_and_stops_the_other() -> None:
    app = running.aborted(serving(serving(KNOWN, D1, 1), D2, 2, complete=False), D2)
    assert Give(f"{D1}-r1", D1) in app.asked
    assert Stop(f"{D2}-a1", D2) in app.asked


def test_with_no_release_to_give_what_serves_is_stopped() -> None:
    app = running.aborted(serving(KNOWN, D1, 1, complete=False), D1)
    assert app.asked == (Stop(f"{D1}-a1", D1),)


def test_a_late_wire_of_an_aborted_deployment_does_not_undo_an_open_one() -> None:
    app = settled(running.aborted(running.started(KNOWN, D1, 1, 1), D1))
    app = serving(app, D2, 2, complete=False)
    app = running.turned_ready(app, f"{D1}-a1", told=False)
    assert Give(f"{D2}-r1", D2) in app.asked


def test_an_open_delivery_is_given_again_only_after_its_own_answer() -> None:
    app = settled(running.aborted(running.started(KNOWN, D1, 1, 1), D1))
    app = settled(running.started(app, D2, 2, 1))
    app = running.turned_ready(app, f"{D1}-a1", told=False)
    assert not [wish for wish in app.asked if isinstance(wish, Give)]


def test_a_lower_release_that_completes_late_does_not_become_current() -> None:
    app = running.completed(serving(KNOWN, D2, 2), D1, 1, current=True)
    assert (app.current, app.current_release) == (D2, 2)


def test_a_pinned_app_keeps_its_release() -> None:
    app = running.completed(serving(KNOWN, D1, 1), D2, 2, current=False)
    assert app.current == D1


def test_a_stopped_app_runs_again_with_a_higher_release_only() -> None:
    app = running.stopped(serving(KNOWN, D1, 1), 1)
    assert app.asked == (Stop(f"{D1}-a1", D1),)
    app = settled(running.turned_stopped(settled(app), f"{D1}-a1"))
    assert running.compared(app).asked == ()
    app = serving(app, D2, 2)
    assert (app.serving, running.should_run(app)) == (f"{D2}-a1", app.deliveries[D2])


def test_a_stop_spares_what_is_on_its_way() -> None:
    app = settled(running.started(serving(KNOWN, D1, 1), D2, 2, 1))
    assert running.stopped(app, 1).asked == (Stop(f"{D1}-a1", D1),)


def test_a_stop_that_is_heard_before_the_completion_holds() -> None:
    app = running.completed(serving(running.stopped(KNOWN, 1), D1, 1, complete=False), D1, 1, current=True)
    assert running.should_run(app) is None
    assert app.asked == (Stop(f"{D1}-a1", D1),)


def test_a_deleted_app_is_stopped_whatever_should_have_run() -> None:
    app = running.deleted(serving(KNOWN, D1, 1))
    assert app.asked == (Stop(f"{D1}-a1", D1),)


def test_a_runtime_that_forgot_is_given_the_current_release_again() -> None:
    app = running.was_lost(serving(KNOWN, D1, 1), f"{D1}-a1")
    assert app.serving is None
    assert app.asked == (Give(f"{D1}-r1", D1),)


def test_what_failed_to_be_given_again_is_given_later_and_later() -> None:
    app = settled(running.was_lost(serving(KNOWN, D1, 1), f"{D1}-a1"))
    app = running.turned_failed(app, f"{D1}-r1")
    assert app.asked == (Give(f"{D1}-r2", D1, misses=1),)
    app = running.turned_failed(settled(app), f"{D1}-r2")
    assert app.asked == (Give(f"{D1}-r3", D1, misses=2),)


def test_a_new_attempt_of_what_serves_is_answered_without_giving_it_twice() -> None:
    app = serving(KNOWN, D1, 1, complete=False)
    app = settled(running.started(app, D1, 1, 2))
    app = running.answered_by_another(app, f"{D1}-a2")
    assert (app.serving, app.asked, app.deliveries[D1].attempt) == (f"{D1}-a1", (), 2)


class Runtime(RuleBasedStateMachine):
    """One app, a hub that tells a deployment's news in order, a runtime that settles wires whenever it likes."""

    ready: Callable[..., App] = staticmethod(running.turned_ready)
    completed: Callable[..., App] = staticmethod(running.completed)

    @initialize(stops=st.booleans())
    def begin(self, stops: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        self.app = KNOWN
        self.can_stop = stops
        self.pending: list[str] = []
        self.stopping: list[str] = []
        self.really_serving: str | None = None
        self.hub: dict[UUID, str] = {}
        self.attempts: dict[UUID, int] = {}
        self.answered: set[tuple[UUID, int]] = set()

    def take(self, app: App) -> None:
        for wish in app.asked:
            match wish:
                case Give():
                    self.pending.append(wish.wire_id)
                case Stop():
                    self.stopping.append(wish.wire_id)
        self.app = settled(app)

    def release(self, deployment_id: UUID) -> int:
        return list(self.hub).index(deployment_id) + 1

    @precondition(lambda self: not any(state == "open" for state in self.hub.values()) and len(self.hub) < 4)
    @rule()
    def the_hub_starts(self) -> None:
        if self.app.is_deleted:
            return
        deployment_id = UUID(int=len(self.hub) + 1)
        self.hub[deployment_id] = "open"
        self.attempts[deployment_id] = 1
        self.take(running.started(self.app, deployment_id, self.release(deployment_id), 1))

    def opened(self) -> list[UUID]:
        return [deployment_id for deployment_id, state in self.hub.items() if state == "open"]

    @rule()
    def the_hub_tries_again(self) -> None:
        for deployment_id in self.opened():
            if self.attempts[deployment_id] < 3:
                attempt = self.attempts[deployment_id] = self.attempts[deployment_id] + 1
                self.take(running.started(self.app, deployment_id, self.release(deployment_id), attempt))

    @rule()
    def the_hub_aborts(self) -> None:
        for deployment_id in self.opened():
            self.hub[deployment_id] = "aborted"
            self.take(running.aborted(self.app, deployment_id))

    @rule()
    def the_hub_completes(self) -> None:
        for deployment_id in self.opened():
            if (deployment_id, self.attempts[deployment_id]) in self.answered:
                self.hub[deployment_id] = "completed"
                self.take(self.completed(self.app, deployment_id, self.release(deployment_id), current=True))

    @rule()
    def the_app_is_deleted(self) -> None:
        if len(self.hub) >= 3 and not self.opened():
            self.take(running.deleted(self.app))

    @rule(which=st.integers(0, 9), fails=st.booleans())
    def a_wire_settles(self, which: int, fails: bool) -> None:  # noqa: FBT001 - hypothesis passes it by name
        if self.pending:
            self.settle(self.pending.pop(which % len(self.pending)), fails=fails)

    @rule()
    def a_stop_is_heard(self) -> None:
        if self.stopping:
            self.stop(self.stopping.pop(0))

    @rule()
    def the_runtime_restarts_empty(self) -> None:
        if (lost := self.really_serving) is not None:
            self.really_serving = None
            if self.app.serving == lost:
                self.take(running.was_lost(self.app, lost))

    def settle(self, wire_id: str, *, fails: bool) -> None:
        wire: Wire = self.app.wires[wire_id]
        if wire.status is not WireStatus.PENDING:
            return
        if fails:
            self.take(running.turned_failed(self.app, wire_id))
            return
        self.really_serving = wire_id
        delivery: Delivery = self.app.deliveries[wire.deployment_id]
        told = wire.attempt is not None and not delivery.closed and wire.attempt == delivery.attempt
        if told:
            assert wire.attempt is not None
            self.answered.add((wire.deployment_id, wire.attempt))
        self.take(self.ready(self.app, wire_id, told=told))

    def stop(self, wire_id: str) -> None:
        if not self.can_stop:
            return
        if self.really_serving == wire_id:
            self.really_serving = None
        if wire_id in self.pending:
            self.pending.remove(wire_id)
        if self.app.wires[wire_id].status in {WireStatus.PENDING, WireStatus.HEALTHY}:
            self.take(running.turned_stopped(self.app, wire_id))

    def teardown(self) -> None:
        if not hasattr(self, "app"):
            return
        for deployment_id in self.opened():
            self.hub[deployment_id] = "aborted"
            self.take(running.aborted(self.app, deployment_id))
        for _ in range(200):
            if self.stopping:
                self.a_stop_is_heard()
            elif self.pending:
                self.settle(self.pending.pop(0), fails=False)
            else:
                break
        assert not self.pending, "the notifier never comes to rest"
        completed = [deployment_id for deployment_id, state in self.hub.items() if state == "completed"]
        runs = self.app.wires[self.really_serving].deployment_id if self.really_serving else None
        if self.app.is_deleted or not completed:
            assert runs is None or not self.can_stop
        else:
            assert runs == max(completed, key=self.release)


FAST = settings(max_examples=60, stateful_step_count=40)
TestRuntime = Runtime.TestCase
TestRuntime.settings = FAST


def _without_undo_whenever(app: App, wire_id: str, *, told: bool) -> App:
    """The simpler rule: only a wire in time changes anything; one that turns ready late is old news."""
    ready = running.turned_ready(app, wire_id, told=told)
    return ready if told else replace(ready, asked=())


def _without_should_run(app: App, wire_id: str, *, told: bool) -> App:
    """The simpler rule: undoing gives the current release, whatever open delivery is above it."""
    closed = {one: replace(each, closed=each.closed or not each.done) for one, each in app.deliveries.items()}
    ready = running.turned_ready(replace(app, deliveries=closed), wire_id, told=told)
    deliveries = {one: replace(each, closed=app.deliveries[one].closed) for one, each in ready.deliveries.items()}
    return replace(ready, deliveries=deliveries)


class WithoutUndoWhenever(Runtime):
    ready = staticmethod(_without_undo_whenever)


def _without_comparing(app: App, deployment_id: UUID, release: int, *, current: bool) -> App:
    return settled(running.completed(app, deployment_id, release, current=current))


class WithoutShouldRun(Runtime):
    ready = staticmethod(_without_should_run)
    completed = staticmethod(_without_comparing)


def late(machine: Runtime) -> None:
    """The first release is current; the second is aborted before its runtime is ready, and ready later."""
    machine.begin(stops=True)
    machine.the_hub_starts()
    machine.a_wire_settles(0, fails=False)
    machine.the_hub_completes()
    machine.the_hub_starts()
    machine.can_stop = False  # the stop is not heard in time
    machine.the_hub_aborts()


def late_alone(machine: Runtime) -> None:
    late(machine)
    machine.a_wire_settles(0, fails=False)


def late_below_an_open_one(machine: Runtime) -> None:
    """The second's runtime turns ready between the third's and the third's end."""
    late(machine)
    machine.the_hub_starts()
    machine.a_wire_settles(1, fails=False)
    machine.a_wire_settles(0, fails=False)
    machine.the_hub_completes()


@pytest.mark.parametrize("scenario", [late_alone, late_below_an_open_one])
def test_what_turns_ready_late_is_undone(scenario: Callable[[Runtime], None]) -> None:
    machine = Runtime()
    scenario(machine)
    machine.teardown()
    assert machine.really_serving is not None


@pytest.mark.parametrize(
    ("mutant", "scenario"), [(WithoutUndoWhenever, late_alone), (WithoutShouldRun, late_below_an_open_one)]
)
def test_without_either_rule_of_undoing_something_else_runs_at_rest(
    mutant: type[Runtime], scenario: Callable[[Runtime], None]
) -> None:
    machine = mutant()
    scenario(machine)
    with pytest.raises(AssertionError):
        machine.teardown()
