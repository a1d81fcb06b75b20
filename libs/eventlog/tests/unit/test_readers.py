from types import SimpleNamespace
from typing import cast

import pytest

from pac.eventlog import EventLog
from pac.eventlog.readers import keep_reading


async def test_how_far_a_reader_is_behind_is_measured_although_it_fails() -> None:
    measured = []

    async def step() -> bool:
        raise ValueError("it cannot apply this event")

    async def measure() -> None:
        measured.append(True)

    with pytest.raises(ValueError, match="cannot apply"):
        await keep_reading(cast("EventLog", SimpleNamespace(woken=lambda: None)), step, measure)
    assert measured
