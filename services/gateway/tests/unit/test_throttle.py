"""How often somebody may ask."""

from dataclasses import dataclass

import pytest

from pac.gateway.throttle import Throttle


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def taken(throttle: Throttle, caller: str, times: int) -> int:
    return [throttle.take(caller).wait_seconds for _ in range(times)].count(0.0)


def test_a_burst_is_served_and_then_a_steady_rate() -> None:
    clock = Clock()
    throttle = Throttle(per_second=10, burst=5, clock=clock)
    assert taken(throttle, "a", 10) == 5
    clock.now += 0.1
    assert taken(throttle, "a", 10) == 1
    clock.now += 100
    assert taken(throttle, "a", 10) == 5, "a pause earns no more than a burst"


def test_it_is_told_what_is_left() -> None:
    clock = Clock()
    throttle = Throttle(per_second=10, burst=3, clock=clock)
    shown = [throttle.take("a") for _ in range(4)]
    assert [one.remaining for one in shown] == [2, 1, 0, 0]
    assert [one.wait_seconds for one in shown] == pytest.approx([0, 0, 0, 0.1])
    assert shown[-1].full_seconds == pytest.approx(0.3)


def test_the_patient_have_their_turn_one_after_the_other() -> None:
    throttle = Throttle(per_second=10, burst=1, clock=Clock())
    waits = [throttle.take("a", patience_seconds=0.25).wait_seconds for _ in range(5)]
    assert waits == pytest.approx([0, 0.1, 0.2, 0.3, 0.3]), "whoever would wait too long takes nobody's turn"


def test_callers_do_not_share() -> None:
    throttle = Throttle(per_second=10, burst=2, clock=Clock())
    assert [taken(throttle, caller, 3) for caller in "aba"] == [2, 2, 0]


def test_only_so_many_callers_are_remembered() -> None:
    throttle = Throttle(per_second=10, burst=1, callers_max=3, clock=Clock())
    for number in range(10):
        throttle.take(str(number))
    assert len(throttle) == 3
    assert throttle.take("9").wait_seconds > 0
