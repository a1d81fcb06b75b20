"""Where readers stand: one row per reader, moved only by who knows where it stood before."""

from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from pac.eventlog.engine import driver_of
from pac.eventlog.log import EventLog
from pac.eventlog.reading import position_of
from pac.eventlog.types import Position

OPEN = "INSERT INTO log.checkpoints (reader) VALUES (%s) ON CONFLICT DO NOTHING"
STANDS = "SELECT xid::text, position FROM log.checkpoints WHERE reader = %s"
MOVE = """
UPDATE log.checkpoints SET xid = %s::xid8, position = %s, moved_at = clock_timestamp()
WHERE reader = %s AND (xid, position) = (%s::xid8, %s)
"""
MOVE_WITH_LEASE = f"""
WITH mine AS (
    SELECT FROM log.leases WHERE name = %s AND token = %s AND expires_at > clock_timestamp() FOR UPDATE
) {MOVE} AND EXISTS (SELECT FROM mine)
"""  # noqa: S608 - constants only
RESET = "UPDATE log.checkpoints SET xid = '0', position = 0, moved_at = clock_timestamp() WHERE reader = %s"
NEWEST = """
SELECT e.xid::text, e.position FROM log.events AS e WHERE e.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xid DESC, e.position DESC LIMIT 1
"""


async def position_in(log: EventLog, reader: str) -> Position:
    async with log.reading() as connection:
        driver = await driver_of(connection)
        found = await (await driver.execute(STANDS, (reader,))).fetchone()
        if found is None:
            await driver.execute(OPEN, (reader,))
            return Position()
        return position_of(*found)


async def newest_in(log: EventLog) -> Position:
    """The last event that readers may see."""
    async with log.reading() as connection:
        found = await (await (await driver_of(connection)).execute(NEWEST)).fetchone()
        return position_of(*found) if found else Position()


def move_parameters(reader: str, before: Position, after: Position) -> tuple[Any, ...]:
    return (str(after.xid), after.number, reader, str(before.xid), before.number)


async def move(connection: AsyncConnection, reader: str, before: Position, after: Position) -> bool:
    """False if another process has moved it. True holds others off until the transaction ends."""
    done = await (await driver_of(connection)).execute(MOVE, move_parameters(reader, before, after))
    return done.rowcount == 1


async def reset(connection: AsyncConnection, reader: str) -> None:
    driver = await driver_of(connection)
    await driver.execute(OPEN, (reader,))
    await driver.execute(RESET, (reader,))
