"""The laws of every service: its log is whole, its readers keep up, and nothing lies aside for long."""

import random
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.eventlog import EventLog
from pac.eventlog.verify import first_fault
from pac.servicekit.invariants import Finding, Law, found

WATERMARK_LIMIT_SECONDS = 30.0
BACKLOG_LIMIT_SECONDS = 60.0
PARKED_LIMIT_SECONDS = 300.0
STREAMS, EVENTS, LONGEST_STREAM = 40, 300, 200

LAST_POSITION = text("SELECT coalesce(max(position), 0) FROM log.events")
# Streams of the newest events, and of those from some place on: over time every part of the log has its turn.
SAMPLE = text("""
SELECT stream FROM (
    (SELECT stream FROM log.events ORDER BY position DESC LIMIT :events)
    UNION ALL (SELECT stream FROM log.events WHERE position >= :somewhere ORDER BY position LIMIT :events)
) AS sample GROUP BY stream ORDER BY random() LIMIT :streams
""")
EVENTS_OF = text("""
SELECT e.stream, version, type, data::text, metadata::text, at, hash, xid::text, position FROM log.events AS e
WHERE e.stream = ANY (CAST(:sample AS text[])) AND NOT EXISTS (
    SELECT FROM log.events AS far WHERE far.stream = e.stream AND far.version > :longest)
ORDER BY e.stream, version
""")
PARKED = text("""
SELECT subject, extract(epoch FROM clock_timestamp() - min(parked_at)), bool_or(dead_at IS NOT NULL), min(reason)
FROM log.parked GROUP BY subject ORDER BY 2 DESC LIMIT 1000
""")


def laws_of_every_service(log: EventLog) -> tuple[Law, ...]:
    async def watermark(_: AsyncConnection) -> Finding:
        return _young("an event is held back", await log.watermark_age_seconds(), WATERMARK_LIMIT_SECONDS)

    async def backlog(_: AsyncConnection) -> Finding:
        return _young("the oldest event not sent is there", await log.relay_backlog_seconds(), BACKLOG_LIMIT_SECONDS)

    return (
        Law("streams_are_whole", streams_are_whole),
        Law("watermark_is_young", watermark),
        Law("relay_keeps_up", backlog),
        Law("nothing_is_parked_for_long", nothing_is_parked_for_long),
    )


async def streams_are_whole(connection: AsyncConnection) -> Finding:
    """Versions without gaps, in their reading order, and the chain of hashes unbroken."""
    last = await number(connection, LAST_POSITION)
    somewhere = random.randint(0, last)  # noqa: S311 - a sample, not a secret
    asked = {"events": EVENTS, "streams": STREAMS, "somewhere": somewhere}
    sample = list((await connection.execute(SAMPLE, asked)).scalars())
    rows = (await connection.execute(EVENTS_OF, {"sample": sample, "longest": LONGEST_STREAM})).all()
    streams = [(stream, [tuple(row) for row in events]) for stream, events in groupby(rows, key=itemgetter(0))]
    faults = [fault for stream, events in streams if (fault := first_fault(stream, events)) is not None]
    return found([str(fault) for fault in faults], len(streams), well=f"{len(streams)} streams as they were written")


async def nothing_is_parked_for_long(connection: AsyncConnection) -> Finding:
    rows = (await connection.execute(PARKED)).all()
    offenders = [
        f"{subject} for {seconds:.0f} s{', given up' if is_dead else ''}: {reason}"
        for subject, seconds, is_dead, reason in rows
        if is_dead or seconds > PARKED_LIMIT_SECONDS
    ]
    oldest = max((float(row[1]) for row in rows), default=0.0)
    well = f"{len(rows)} subjects, the oldest for {oldest:.0f} s" if rows else "nothing is parked"
    return found(offenders, len(rows), well=well)


async def number(connection: AsyncConnection, statement: TextClause, **asked: Any) -> int:
    return int((await connection.execute(statement, asked)).scalar_one())


def _young(what: str, seconds: float, limit: float) -> Finding:
    told = f"{what} for {seconds:.1f} s, the limit is {limit:.0f} s"
    return Finding(holds=seconds <= limit, detail=told, checked=1)
