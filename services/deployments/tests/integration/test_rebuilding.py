"""The read side made anew over a log of thousands of events: the long form is `tests/chaos/test_read_side.py`."""

from pac.contracts.topics import ServiceName
from pac.testkit.postgres import DatabaseOf, EventLogOf
from pac.testkit.rebuilding import rebuilt_in_every_way

EVENTS = 12_000


async def test_whichever_way_it_is_made_anew_it_is_the_same(database_of: DatabaseOf, event_log_of: EventLogOf) -> None:
    database = await database_of("pac.deployments")
    log = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    seen = await rebuilt_in_every_way(log, database, EVENTS)
    assert seen.events >= EVENTS
    assert seen.looks > 0, "nobody looked while it was made anew"
