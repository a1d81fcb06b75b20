"""The statements of readers. Why they look like this: docs of the log, "gap-safe reading"."""

from pac.eventlog.types import Position

END = Position((1 << 64) - 1, (1 << 63) - 1)  # no event stands behind it

# One statement, hence one snapshot: everything below its xmin has ended, so nothing can appear there any more.
# `e.`, because a plain `xid` in ORDER BY would be the text that is selected: '1000' comes before '999'.
READ = """
SELECT e.xid::text, e.position, e.stream, e.version, e.data::text, e.metadata::text FROM log.events AS e
WHERE (e.xid, e.position) > (%s::xid8, %s) AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xid, e.position LIMIT %s
"""

# The same without causes, and no further than to a position.
EVENTS = """
SELECT e.stream, e.version, e.data::text, (e.metadata->>'data_version')::int, e.xid::text, e.position
FROM log.events AS e
WHERE (e.xid, e.position) > (%s::xid8, %s) AND (e.xid, e.position) <= (%s::xid8, %s)
    AND e.xid < pg_snapshot_xmin(pg_current_snapshot())
ORDER BY e.xid, e.position LIMIT %s
"""

HISTORY = """
SELECT stream, version, data::text, metadata::text FROM log.events WHERE stream = %s ORDER BY version
"""

# Everything that is known is moved by one statement; a span is left out where something before it is missing.
MOVE_OVER = """
WITH span AS (
    SELECT * FROM unnest(%(sources)s::text[], %(streams)s::text[], %(firsts)s::bigint[], %(lasts)s::bigint[])
        AS span (source, stream, first, last)
), opened AS (
    INSERT INTO log.inbox (consumer, source, stream, version)
    SELECT %(consumer)s, source, stream, last FROM span WHERE first = 1
    ON CONFLICT DO NOTHING RETURNING source, stream
), moved AS (
    UPDATE log.inbox AS seen SET version = greatest(seen.version, span.last) FROM span
    WHERE seen.consumer = %(consumer)s AND seen.source = span.source AND seen.stream = span.stream
        AND seen.version >= span.first - 1
    RETURNING seen.source, seen.stream
)
SELECT source, stream FROM opened UNION ALL SELECT source, stream FROM moved
"""

BACKLOG = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - (
    SELECT e.recorded_at FROM log.events AS e
    WHERE (e.xid, e.position) > (
        coalesce((SELECT c.xid FROM log.checkpoints AS c WHERE c.reader = r.name), '0'),
        coalesce((SELECT c.position FROM log.checkpoints AS c WHERE c.reader = r.name), 0))
    ORDER BY e.xid, e.position LIMIT 1)), 0) FROM (VALUES (%s)) AS r (name)
"""

WATERMARK = """
SELECT coalesce(extract(epoch FROM clock_timestamp() - (
    SELECT recorded_at FROM log.events WHERE xid >= pg_snapshot_xmin(pg_current_snapshot())
    ORDER BY xid, position LIMIT 1)), 0)
"""

CLUSTER = """
SELECT coalesce(newest >= pg_snapshot_xmax(pg_current_snapshot()), false), newest::text
FROM (SELECT greatest((SELECT max(xid) FROM log.events), (SELECT max(xid) FROM log.checkpoints)) AS newest) AS log
"""


def position_of(xid: str, number: int) -> Position:
    return Position(int(xid), number)
