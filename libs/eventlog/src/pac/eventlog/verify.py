"""Is this log still what was written? Walks every stream: versions, reading order, and the chain of hashes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any

import orjson
import psycopg

from pac.eventlog.record import GENESIS, chained

ROWS = "SELECT stream, version, type, data::text, metadata::text, at, hash, xid::text, position FROM log.events"
NEXT_STREAMS = "SELECT DISTINCT stream FROM log.events WHERE stream > %s ORDER BY stream LIMIT %s"
STREAMS_PER_PAGE = 200


@dataclass(frozen=True)
class Fault:
    stream: str
    version: int
    what: str

    def __str__(self) -> str:
        return f"{self.stream} at version {self.version}: {self.what}"


async def faults_of(connection: psycopg.AsyncConnection[tuple[Any, ...]]) -> AsyncIterator[Fault]:
    """Page by page, so that a log of any size can be walked. After a stream's first fault its rest is not looked at."""
    last = ""
    while True:
        found = await connection.execute(NEXT_STREAMS, (last, STREAMS_PER_PAGE))
        streams = [stream for (stream,) in await found.fetchall()]
        if not streams:
            return
        rows = await connection.execute(f"{ROWS} WHERE stream = ANY(%s) ORDER BY stream, version", (streams,))
        for stream, events in groupby(await rows.fetchall(), key=itemgetter(0)):
            if (fault := first_fault(stream, list(events))) is not None:
                yield fault
        last = streams[-1]


def first_fault(stream: str, rows: list[tuple[Any, ...]]) -> Fault | None:
    before, read_at = GENESIS, (0, 0)
    for expected, (_, version, type_, data, metadata, at, digest, xid, position) in enumerate(rows, start=1):
        if version != expected:
            return Fault(stream, version, f"expected version {expected}")
        if (int(xid), position) <= read_at:
            return Fault(stream, version, "readers meet it before the one that precedes it")
        computed = chained(
            before,
            stream=stream,
            version=version,
            type_=type_,
            data=orjson.loads(data),
            metadata=orjson.loads(metadata),
            at=at,
        )
        if computed != bytes(digest):
            return Fault(stream, version, "is not what was written: its hash does not follow from it")
        before, read_at = computed, (int(xid), position)
    return None
