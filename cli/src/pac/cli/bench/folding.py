"""Reading a whole log: folding it, and rebuilding a projection from it, beside the least that a reader must do."""

import time
from collections import Counter
from collections.abc import AsyncGenerator
from typing import Any, cast

import orjson
import psycopg

from pac.cli.bench.ground import Ground
from pac.cli.bench.history import HUB, fill
from pac.cli.bench.measuring import OURS, Options, Result, paired, result
from pac.cli.local.postgres import Database
from pac.contracts.deployments import DeploymentEvent
from pac.contracts.topics import ServiceName
from pac.deployments.domain import Deployment
from pac.deployments.projections import Deployments
from pac.eventlog import EventLog, Position, Projector, create_engine
from pac.eventlog.rebuild import Rebuild

UNIT = "events/s"
FLOOR = "COPY + orjson, last type per stream"
BESIDE = "beside"
READ = 2000
ALL = "COPY (SELECT stream, data FROM log.events ORDER BY xid, position) TO STDOUT (FORMAT BINARY)"
JSONB_VERSION_BYTES = 1


async def fold(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    database, events = await _filled(ground, options)
    log = EventLog(create_engine(database.url), ServiceName.DEPLOYMENTS)

    async def ours() -> float:
        began = time.perf_counter()
        states = await folded(log)
        seconds = time.perf_counter() - began
        _check(Counter(state.status for state in states.values()), {"completed": len(states)})
        return events / seconds

    try:
        contenders = {OURS: ours, FLOOR: lambda: _floor(database, events)}
        await paired(1, contenders)
        yield result("fold", UNIT, FLOOR, await paired(options.rounds, contenders))
    finally:
        await log.close()


async def rebuild(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    """Into emptied tables; and beside the live ones, compared with them and switched, as operators do it."""
    database, events = await _filled(ground, options)
    log = EventLog(create_engine(database.url), ServiceName.DEPLOYMENTS)

    async def emptied() -> float:
        began = time.perf_counter()
        await Projector(log, Deployments()).rebuild()
        return events / (time.perf_counter() - began)

    async def beside() -> float:
        began = time.perf_counter()
        rebuilt = await Rebuild(log, Deployments()).run()
        seconds = time.perf_counter() - began
        if not rebuilt.is_switched:
            raise AssertionError("the rebuilt projection differs from the live one")
        return events / seconds

    try:
        contenders = {OURS: emptied, BESIDE: beside, FLOOR: lambda: _floor(database, events)}
        rounds = await paired(options.rounds, contenders)
        yield result("rebuild", UNIT, FLOOR, rounds)
        yield result("rebuild.beside", UNIT, FLOOR, [{OURS: one[BESIDE], FLOOR: one[FLOOR]} for one in rounds])
    finally:
        await log.close()


async def folded(log: EventLog) -> dict[str, Deployment]:
    """Every deployment of the log, as a reader meets their events."""
    states: dict[str, Deployment] = {}
    position = Position()
    while True:
        batch, position = await log.events(position, READ)
        if not batch:
            return states
        for stream, _, event in batch:
            states[stream] = HUB.evolve(states.get(stream, HUB.initial), cast("DeploymentEvent", event))


async def _floor(database: Database, events: int) -> float:
    """All rows as bytes, parsed as JSON, one word of each kept."""
    last: dict[bytes, str] = {}
    began = time.perf_counter()
    # The operator's connection: a service's own ends a long COPY after ten seconds.
    async with (
        await psycopg.AsyncConnection.connect(database.migration_url) as connection,
        connection.cursor(binary=True).copy(ALL) as copy,
    ):
        async for row in copy.rows():
            stream, data = cast("tuple[bytes, bytes]", row)
            parsed: dict[str, Any] = orjson.loads(memoryview(data)[JSONB_VERSION_BYTES:])
            last[stream] = parsed["type"]
    seconds = time.perf_counter() - began
    _check(Counter(last.values()), {"DeploymentCompleted": len(last)})
    return events / seconds


async def _filled(ground: Ground, options: Options) -> tuple[Database, int]:
    """The log is the same for all that read: made once."""
    name = "bench_history"
    fresh = not ground.knows(name)
    database = await ground.database(name)
    if fresh:
        await fill(database.migration_url, options.events)
    return database, await _count(database)


async def _count(database: Database) -> int:
    async with await psycopg.AsyncConnection.connect(database.url) as connection:
        found = await (await connection.execute("SELECT count(*) FROM log.events")).fetchone()
        assert found is not None
        return int(found[0])


def _check(found: Counter[Any], expected: dict[str, int]) -> None:
    """A fast reader that reads wrong is no benchmark."""
    if found != expected:
        raise AssertionError(f"folded to {dict(found)}, not {expected}")
