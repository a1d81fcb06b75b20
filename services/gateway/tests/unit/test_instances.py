"""Whose turn it is."""

from dataclasses import dataclass

from pac.gateway.instances import Instances

A, B, C = "http://a:1", "http://b:1", "http://c:1"


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def test_each_has_its_turn_and_all_others_stand_behind() -> None:
    three = Instances.of(f"{A},{B},{C}")
    assert [three.in_turn() for _ in range(4)] == [[A, B, C], [B, C, A], [C, A, B], [A, B, C]]


def test_one_that_was_away_is_asked_last_for_a_while() -> None:
    clock = Clock()
    two = Instances((A, B), rest_seconds=1.0, clock=clock)
    two.was_away(A)
    assert [two.in_turn() for _ in range(2)] == [[B, A], [B, A]]
    clock.now += 1.0
    assert [two.in_turn() for _ in range(2)] == [[A, B], [B, A]]


def test_when_all_were_away_each_is_asked_all_the_same() -> None:
    two = Instances((A, B))
    two.was_away(A)
    two.was_away(B)
    assert sorted(two.in_turn()) == [A, B]
