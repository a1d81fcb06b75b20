"""Which lines are new to somebody who follows, and how a place among them is told and read."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pac.contracts.errors import ErrorCode, Refused
from pac.runtime_notifier.logs import Given, Mark, Seats, message_of, newer
from pac.runtime_notifier.runtime import LogLine

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def line(seconds: int, text: str = "x") -> LogLine:
    return LogLine(at=NOON + timedelta(seconds=seconds), stream="stdout", text=text)


@given(st.lists(st.integers(0, 5)), st.integers(0, 30))
def test_whoever_comes_back_gets_the_rest_without_gap_or_double(seconds: list[int], cut: int) -> None:
    lines = [line(second, str(number)) for number, second in enumerate(sorted(seconds))]
    everything = newer(lines, None)
    before, rest = everything[:cut], everything[cut:]
    assert newer(lines, before[-1][0] if before else None) == rest
    assert [found for _, found in everything] == lines


def test_a_line_goes_out_as_one_message_with_its_place() -> None:
    given = Given(UUID(int=1), "w", "default", hidden=())
    said = message_of(Mark(NOON, 2), given.shown(line(0, "two\nlines"))).decode()
    assert said.startswith("id: 2026-11-25T12:00:00Z/2\nevent: line\ndata: {")
    assert said.endswith("\n\n")
    assert said.count("\n") == 4


def test_known_values_are_taken_out_also_line_by_line() -> None:
    given = Given(UUID(int=1), "w", "default", hidden=("hunter22", "-----BEGIN\nabcdefgh\n"))
    assert given.shown(line(0, "it is hunter22")).text == "it is ***"
    assert given.shown(line(0, "key abcdefgh")).text == "key ***"
    assert "hunter22" not in repr(given)


def test_there_are_so_many_seats_for_an_account_and_in_all() -> None:
    seats, (one, two) = Seats(per_account=1, overall=1), (UUID(int=1), UUID(int=2))
    with seats.seat(one):
        for account in (one, two):
            with pytest.raises(Refused) as refused, seats.seat(account):
                pass
            assert refused.value.code is ErrorCode.THROTTLED
    with seats.seat(two):
        pass
