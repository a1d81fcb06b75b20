"""The collector is set once, for the whole process; a test puts it back."""

import gc
from collections.abc import Iterator

import pytest

from pac.servicekit.memory import YOUNG, collect_seldom, collecting_seldom


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


class Knot:
    def __init__(self) -> None:
        self.me = self


def test_it_looks_seldom_and_not_at_what_was_there_before() -> None:
    collect_seldom()
    assert gc.get_threshold()[0] == YOUNG
    assert gc.get_freeze_count() > 0
    assert gc.isenabled()


def test_cycles_are_still_found() -> None:
    collect_seldom()
    gc.collect()
    Knot()
    assert gc.collect() >= 1


def test_for_a_while_and_then_as_before() -> None:
    before = gc.get_threshold()
    with collecting_seldom():
        assert gc.get_threshold()[0] == YOUNG
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0
