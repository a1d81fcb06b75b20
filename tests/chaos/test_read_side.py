"""The read side is dropped and made anew over a million events: same rows, fast, and nobody notices meanwhile.

PAC_CHAOS_EVENTS lowers it.
"""

import os

import pytest

from pac.contracts.topics import ServiceName
from pac.testkit.holds import holding
from pac.testkit.postgres import DatabaseOf, EventLogOf
from pac.testkit.rebuilding import rebuilt_in_every_way

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]
EVENTS = int(os.environ.get("PAC_CHAOS_EVENTS", "1000000"))
EVENTS_PER_SECOND = 30_000


async def test_a_million_events_are_read_anew(database_of: DatabaseOf, event_log_of: EventLogOf) -> None:
    database = await database_of("pac.deployments", laws=False)  # a million hashes are not what is shown here
    log = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    fault, law = "the read models dropped and made anew", "the same checksums; old answers meanwhile; 30,000 events/s"
    with holding("read-side", fault=fault, load=f"{EVENTS:,} events", law=law) as figures:
        seen = await rebuilt_in_every_way(log, database, EVENTS)
        rates = seen.rates()
        figures.update({f"events/s {name}": rate for name, rate in rates.items()} | {"looks meanwhile": seen.looks})
        print(figures)  # noqa: T201 - for who runs it
        assert seen.looks > 0
        assert min(rates.values()) >= EVENTS_PER_SECOND, rates
