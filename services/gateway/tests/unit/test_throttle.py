"""How often one address may ask."""

from dataclasses import dataclass

import pytest

from pac.contracts.errors import ErrorCode, Refused
from pac.gateway.throttle import Throttle


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def taken(throttle: Throttle, address: str, times: int) -> int:
    for number in range(times):
        try:
            throttle.take(address)
        except Refused:
            return number
    return times


def test_a_burst_is_served_and_then_a_steady_rate() -> None:
    clock = Clock()
    throttle = Throttle(per_second=10, burst=5, clock=clock)
    assert taken(throttle, "a", 10) == 5
    clock.now += 0.1
    assert taken(throttle, "a", 10) == 1
    clock.now += 100
    assert taken(throttle, "a", 10) == 5, "a pause earns no more than a burst"


def test_addresses_do_not_share() -> None:
    throttle = Throttle(per_second=10, burst=2, clock=Clock())
    assert [taken(throttle, address, 3) for address in "aba"] == [2, 2, 0]


def test_only_so_many_addresses_are_remembered() -> None:
    throttle = Throttle(per_second=10, burst=1, addresses_max=3, clock=Clock())
    for number in range(10):
        throttle.take(str(number))
    assert len(throttle) == 3
    with pytest.raises(Refused) as refused:
        throttle.take("9")
    assert (refused.value.code, refused.value.retry_after_seconds) == (ErrorCode.THROTTLED, 1)
