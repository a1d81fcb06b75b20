"""What a service derives from its log: with this, others can compute it again and compare."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from pac.eventlog.readers import Projection
from pac.eventlog.types import Decider

Law = Callable[[AsyncConnection], Awaitable[list[str]]]


@dataclass(frozen=True)
class Derived:
    """`<service>/derived.py` has one. A law reads one snapshot and gives a sentence for everything that breaks it."""

    deciders: tuple[Decider[Any, Any, Any], ...] = ()
    projections: tuple[Projection, ...] = ()
    laws: tuple[Law, ...] = ()

    def projection(self, name: str) -> Projection | None:
        return next((one for one in self.projections if one.name == name), None)

    def decider_of(self, stream: str) -> Decider[Any, Any, Any] | None:
        category = stream.partition("-")[0]
        return next((one for one in self.deciders if one.category == category), None)
