import asyncio
from dataclasses import dataclass, field
from typing import cast

import pytest

from pac.eventlog import EventLog
from pac.eventlog.types import LogUnavailable
from pac.runtime_notifier.fleet import Fleet
from pac.runtime_notifier.reconciler import Reconciler, is_gone
from pac.runtime_notifier.running import DEFAULT_RUNTIME
from pac.runtime_notifier.runtime import Health, Unclear, Unknown
from pac.runtime_notifier.runtimes import Runtimes


@pytest.mark.parametrize(
    ("health", "gone"),
    [
        (Unknown(), True),
        (Health("stopped", healthy=False, message=None), True),  # replaced by a release that was then stopped itself
        (Health("healthy", healthy=True, message=None), False),
        (Health("failed", healthy=False, message="it broke"), False),  # the runtime restarts it, or has told why not
        (Health("starting", healthy=False, message=None), False),
        (Unclear("not reached"), False),
    ],
)
def test_what_serves_is_given_again_when_the_runtime_has_forgotten_or_stopped_it(
    health: Health | Unknown | Unclear,
    gone: bool,  # noqa: FBT001 - a table
) -> None:
    assert is_gone(health) is gone


@dataclass(frozen=True)
class Rounds(Reconciler):
    """`faults` are raised by rounds, one each; `calm` is told when none is left."""

    faults: list[Exception] = field(default_factory=list)
    calm: asyncio.Event = field(default_factory=asyncio.Event)

    async def round(self, runtime: str | None = DEFAULT_RUNTIME) -> None:
        del runtime
        if self.faults:
            raise self.faults.pop()
        self.calm.set()


def rounds(*faults: Exception) -> Rounds:
    none = Runtimes({})
    return Rounds(cast("EventLog", None), cast("Fleet", None), none, interval_seconds=0.001, faults=[*faults])


async def test_an_outage_ends_a_round_and_not_the_reader() -> None:
    away = LogUnavailable("the database is away")
    reconciler = rounds(away, ExceptionGroup("looks", [away, ConnectionError("nobody answers")]))
    reader = asyncio.create_task(reconciler.run())
    await asyncio.wait_for(reconciler.calm.wait(), 15)
    assert not reader.done()
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader


async def test_any_other_fault_ends_the_reader_which_is_started_again() -> None:
    with pytest.raises(ExceptionGroup) as failed:
        await rounds(ExceptionGroup("looks", [ValueError("a mistake"), ConnectionError("away")])).run()
    assert failed.value.split(ValueError)[0] is not None
    assert failed.value.split(OSError)[0] is None
