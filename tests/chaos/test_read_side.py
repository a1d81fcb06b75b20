"""The read side is dropped and made anew over a million events: same rows, fast, and nobody notices meanwhile.

PAC_CHAOS_EVENTS lowers it.
"""

import json
import os

import pytest

from pac.contracts.topics import ServiceName
from pac.testkit.postgres import DatabaseOf, EventLogOf
from pac.testkit.rebuilding import rebuilt_in_every_way

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(3600)]
EVENTS = int(os.environ.get("PAC_CHAOS_EVENTS", "1000000"))
EVENTS_PER_SECOND = 30_000
LAW = "row by row the same, old answers meanwhile, 30,000 events a second"


async def test_a_million_events_are_read_anew(database_of: DatabaseOf, event_log_of: EventLogOf) -> None:
    database = await database_of("pac.deployments", laws=False)  # a million hashes are not what is shown here
    log = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    seen = await rebuilt_in_every_way(log, database, EVENTS)
    rates = seen.rates()
    held = seen.looks > 0 and min(rates.values()) >= EVENTS_PER_SECOND
    figures = {f"events a second, {name}": rate for name, rate in rates.items()} | {"looks meanwhile": seen.looks}
    told = {"name": "rebuild", "fault": "read models dropped and made anew", "load": f"{seen.events:,} events"}
    print(json.dumps({**told, "law": LAW, "held": held, "figures": figures}))  # noqa: T201 - the row
    assert held, figures
