"""A changed state is what `dataclasses.replace` would make of it, and the one before stays."""

from dataclasses import FrozenInstanceError, dataclass, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pac.eventlog.copying import changed


@dataclass(frozen=True)
class State:
    status: str = "absent"
    steps: tuple[str, ...] = ()
    number: int | None = None


@given(before=st.builds(State), number=st.integers() | st.none(), steps=st.lists(st.text()).map(tuple))
def test_it_is_what_replace_makes(before: State, number: int | None, steps: tuple[str, ...]) -> None:
    kept = State(before.status, before.steps, before.number)
    after = changed(before, number=number, steps=steps)
    assert after == replace(before, number=number, steps=steps)
    assert hash(after) == hash(replace(before, number=number, steps=steps))
    assert before == kept


def test_what_is_made_is_as_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        changed(State(), number=1).number = 2  # type: ignore[misc] # that is the point
