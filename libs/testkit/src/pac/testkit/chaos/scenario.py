"""One row of the table: a load while faults happen, everything that must hold afterwards, and the result that is kept.

A run lowered by PAC_CHAOS_DEPLOYMENTS does less of everything in proportion, and its result is not kept.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Generic, TypeVar

from pac.testkit.chaos.bench import Ground
from pac.testkit.chaos.leftovers import nothing_left_over
from pac.testkit.chaos.load import Load
from pac.testkit.chaos.proving import proving
from pac.testkit.chaos.schedule import draws, seed_of
from pac.testkit.chaos.table import table
from pac.testkit.holds import Figure, Result, is_keeping, keep
from pac.testkit.whole import World

SIZE = "PAC_CHAOS_DEPLOYMENTS"
THE_LAWS = "the laws"
G = TypeVar("G", bound=Ground)
Show = Callable[[Awaitable[str]], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """`deployments`: in the full size. A `short` one is no row of the table, and does not wait for the sweeps."""

    name: str
    fault: str
    deployments: int
    law: str = THE_LAWS
    short: bool = False

    @property
    def lowered(self) -> int:
        return min(self.deployments, int(os.environ.get(SIZE) or self.deployments))

    @property
    def scale(self) -> float:
        return self.lowered / self.deployments

    def times(self, full: float, *, least: float = 1) -> int:
        """So often, or so many seconds, in a run of this size."""
        return round(max(least, full * self.scale))

    def keep(self, one: "Scene[Any]", figures: Mapping[str, Figure], *, held: bool) -> None:
        if is_keeping() and self.scale == 1 and not self.short:
            load, seconds = f"{len(one.load.accepted)} deployments", round(one.ground.seconds, 1)
            keep(Result(self.name, self.fault, load, self.law, held, figures, seconds, one.seed))


@dataclass(frozen=True)
class Scene(Generic[G]):
    """What faults have to do with."""

    row: Row
    ground: G
    load: Load
    random: Random
    seed: int


Faults = Callable[[Scene[G]], Coroutine[Any, Any, Mapping[str, Figure]]]


@asynccontextmanager
async def scene(
    row: Row, ground: G, folder: Path, *, seed: int | None = None, tenants: int = 10
) -> AsyncIterator[Scene[G]]:
    seed = seed_of() if seed is None else seed
    random = draws(seed)
    load = Load(ground, folder, random)
    await load.open(tenants)
    ground.note("everything is ready")
    yield Scene(row, ground, load, random, seed)


async def under(
    row: Row,
    folder: Path,
    running: AbstractAsyncContextManager[G],
    faults: Faults[G],
    *,
    pace: float = 1.0,
    at_most: int | None = None,
    good_may_fail: bool = False,
) -> str:
    """The table as text; AssertionError with it when something did not hold. The PAC ends before that."""
    async with running as ground, scene(row, ground, folder) as one:
        load = one.load
        load.good_may_fail = good_may_fail
        figures: dict[str, Figure] = {}

        async def faulty() -> None:
            figures.update(await faults(one))

        async with load.looking(), proving(load) as proofs:
            task = asyncio.create_task(faulty())
            await load.keep_deploying(task, at_least=row.lowered, at_most=at_most or 5 * row.deployments, pace=pace)
            await task
            ground.note("all accepted")
            await load.all_ended(seconds=900)
            ground.note("all ended")
        await proofs.take_all()
        figures.update(proofs.figures)
        laws = await laws_of(one, folder)
    return told(one, figures, laws)


async def laws_of(one: Scene[Any], folder: Path) -> list[str]:
    """What breaks the laws at rest, and what is left over once the sweeps have had their time."""
    laws = await one.load.laws(seconds=120)
    one.ground.note("at rest")
    if not one.row.short and not laws and (temporary := folder / "temporary").is_dir():
        laws = await nothing_left_over(World.of(one.ground.pac.status), temporary)
        one.ground.note("swept")
    return laws


def told(one: Scene[Any], figures: Mapping[str, Figure], laws: list[str]) -> str:
    """Keeps the result; the table as text. AssertionError with it when something did not hold."""
    row, ground, load = one.row, one.ground, one.load
    missed = [f"{each.service} never came by {each.point}" for each in ground.armed if not each.hit]
    held = not (load.faults or laws or missed)
    text = table(row.name, ground, load, [*laws, *missed], seed=one.seed, more=figures)
    row.keep(one, {**figures, "slowest GET": f"{load.slowest_get_seconds:.1f} s"}, held=held)
    if not held:
        raise AssertionError(text)
    return text
