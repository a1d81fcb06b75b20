"""given(decider, events…).when(command).then(events…): a decider's test as a sentence."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import pytest

from pac.contracts.base import Event
from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog.types import Decider, TooEarly

S = TypeVar("S")
C = TypeVar("C")
E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class When(Generic[S, C, E]):
    decider: Decider[S, C, E]
    history: Sequence[E]
    command: C

    def _decide(self) -> list[E]:
        return list(self.decider.decide(self.decider.fold(self.history), self.command))

    def then(self, *events: E) -> S:
        """Exactly these events; gives the state after them."""
        assert self._decide() == list(events)
        return self.decider.fold([*self.history, *events])

    def then_types(self, *types: type[Event]) -> list[E]:
        """Events of exactly these types; gives the events, for a closer look."""
        decided = self._decide()
        assert [type(event) for event in decided] == list(types)
        return decided

    def then_too_early(self) -> None:
        with pytest.raises(TooEarly):
            self._decide()

    def then_refused(self, code: ErrorCode) -> Refused:
        with pytest.raises(Refused) as refusal:
            self._decide()
        assert refusal.value.code == code
        return refusal.value


@dataclass(frozen=True)
class Given(Generic[S, C, E]):
    decider: Decider[S, C, E]
    history: Sequence[E]

    def when(self, command: C) -> When[S, C, E]:
        return When(self.decider, self.history, command)


def given(decider: Decider[S, C, E], *history: E) -> Given[S, C, E]:
    return Given(decider, history)
