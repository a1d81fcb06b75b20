"""Where the projections of a service stand, for people: how far behind, and whether one is being rebuilt."""

from dataclasses import dataclass

from pac.eventlog.engine import driver_of
from pac.eventlog.log import EventLog
from pac.eventlog.reading import position_of
from pac.eventlog.rebuild import lease_of
from pac.eventlog.types import Position

STANDING = """
SELECT c.xid::text, c.position,
    (SELECT count(*) FROM log.events AS e WHERE (e.xid, e.position) > (c.xid, c.position)),
    EXISTS (SELECT FROM log.leases AS l WHERE l.name = %s AND l.expires_at > clock_timestamp())
FROM (SELECT coalesce(known.xid, '0') AS xid, coalesce(known.position, 0) AS position
    FROM (VALUES (1)) AS one LEFT JOIN log.checkpoints AS known ON known.reader = %s) AS c
"""


@dataclass(frozen=True)
class Standing:
    """`events` and `seconds`: what is not in its tables yet, and the age of the oldest of it."""

    name: str
    position: Position
    events: int
    seconds: float
    is_rebuilding: bool


async def standing_of(log: EventLog, projection: str) -> Standing:
    async with log.reading() as connection:
        asked = await (await driver_of(connection)).execute(STANDING, (lease_of(projection), projection))
        found = await asked.fetchone()
        assert found is not None
    xid, number, events, is_rebuilding = found
    return Standing(projection, position_of(xid, number), events, await log.backlog_seconds(projection), is_rebuilding)
