"""Is everything that a service knows what its log says? The chain, every fold, every read model, the service's laws.

It may run beside the live service. Read models are replayed beside the live ones and compared (`rebuild.py`); all else
only reads.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter

from pydantic import ValidationError

from pac.contracts.topics import ServiceName
from pac.eventlog.derived import Derived
from pac.eventlog.engine import Driver, driver_of
from pac.eventlog.log import EventLog
from pac.eventlog.readers import Projection
from pac.eventlog.rebuild import UNTIMED, Progress, Rebuild
from pac.eventlog.record import event_from
from pac.eventlog.types import LogUnavailable
from pac.eventlog.verify import NEXT_STREAMS, STREAMS_PER_PAGE, Fault, faults_of

ROWS = """
SELECT stream, version, data::text, (metadata->>'data_version')::int FROM log.events WHERE stream = ANY(%s)
ORDER BY stream, version
"""
SIZE = "SELECT count(*), count(*) FILTER (WHERE version = 1) FROM log.events"


@dataclass(frozen=True)
class Soundness:
    """One service. `faults`: a sentence each, naming the event, the row or the law."""

    service: ServiceName
    events: int
    streams: int
    faults: tuple[str, ...]


async def soundness_of(log: EventLog, derived: Derived, told: Callable[[Progress], None]) -> Soundness:
    """Raises RebuildBusy while one of its projections is being rebuilt."""
    async with log.reading() as connection:
        driver = await driver_of(connection)
        size = await (await driver.execute(SIZE)).fetchone()
        faults = [str(fault) async for fault in faults_of(driver)]
        faults += [str(fault) async for fault in unfoldable(driver, log.service, derived)]
    faults += await broken_laws(log, derived)
    for projection in derived.projections:
        faults += await _unlike_a_replay(log, projection, told)
    events, streams = size or (0, 0)
    return Soundness(log.service, events, streams, tuple(faults))


async def unfoldable(driver: Driver, service: ServiceName, derived: Derived) -> AsyncIterator[Fault]:
    """Streams whose events are none of the service's, or that its decider cannot fold; the first fault of each."""
    last = ""
    while streams := [
        name for (name,) in await (await driver.execute(NEXT_STREAMS, (last, STREAMS_PER_PAGE))).fetchall()
    ]:
        rows = await (await driver.execute(ROWS, (streams,))).fetchall()
        for stream, events in groupby(rows, key=itemgetter(0)):
            decider, state = derived.decider_of(stream), None
            for _, version, data, data_version in events:
                try:
                    event = event_from(service, data, data_version)
                    if decider is not None:
                        state = decider.fold([event], state)
                except Exception as fault:  # noqa: BLE001 - whatever a fold raises is what is looked for
                    yield Fault(stream, version, _told(fault))
                    break
        last = streams[-1]


async def broken_laws(log: EventLog, derived: Derived) -> list[str]:
    """All of them in one snapshot."""
    if not derived.laws:
        return []
    async with log.reading() as connection:
        driver = await driver_of(connection)
        await driver.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            for name in UNTIMED:
                await driver.execute(f"SET LOCAL {name} = 0")
            return [line for law in derived.laws for line in await law(connection)]
        finally:
            await driver.rollback()


async def _unlike_a_replay(log: EventLog, projection: Projection, told: Callable[[Progress], None]) -> list[str]:
    try:
        found = await Rebuild(log, projection, told=told).check()
    except LogUnavailable:
        raise
    except (ValidationError, LookupError, ArithmeticError, TypeError, ValueError, AssertionError) as fault:
        return [f"projection {projection.name} cannot be replayed: {_told(fault)}"]
    faults = []
    for table in found.tables:
        faults += [str(example) for example in table.examples]
        if (more := table.differing - len(table.examples)) > 0:
            faults.append(f"{table.table}: {more} more rows that differ from a replay")
    return faults


def _told(fault: Exception) -> str:
    """Without data: pydantic's own text quotes its input."""
    if isinstance(fault, ValidationError):
        places = sorted({".".join(map(str, one["loc"])) for one in fault.errors(include_input=False)})
        return f"is no event of this service: not of its shape at {', '.join(places)}"[:300]
    return f"does not fold: {type(fault).__name__}"
