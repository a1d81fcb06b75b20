"""Appending: `execute` with its inbox row, beside plain psycopg and another event store, at 1, 8 and 32 callers.

What each promises differs, and stands in the peer's name. `execute` locks its stream, writes the inbox row of the
message, loads, folds and decides, appends with the chained hash, and leaves an order that readers cannot miss.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any
from uuid import UUID, uuid4

import psycopg

from pac.cli.bench import eventstore
from pac.cli.bench.ground import Ground
from pac.cli.bench.history import HUB, submission
from pac.cli.bench.measuring import OURS, Measure, Options, Result, calls_per_second, paired, result
from pac.contracts.envelope import Envelope
from pac.contracts.topics import ServiceName
from pac.deployments.domain import QueueDeployment
from pac.eventlog import Cause, EventLog, Message, create_engine
from pac.eventlog.engine import lock_keys
from pac.eventlog.record import Head, rows_for

CALLERS = (1, 8, 32)
CALLERS_OF_THE_STORE = 8
UNIT = "events/s"
BARE = "psycopg, autocommit insert of the event alone"
SAME = "psycopg, the same statements"
STORE = "eventsourcing, db functions: insert and NOTIFY alone"

INSERT = """
INSERT INTO log.events (stream, version, type, data, metadata, at, hash) VALUES (%s, %s, %s, %s, %s, %s, %s)
"""
LOCK = "SELECT pg_advisory_xact_lock(%s)"
HEAR = """
INSERT INTO log.inbox (consumer, source, stream, version) VALUES ('deployments', 'packages', %s, 1)
ON CONFLICT ON CONSTRAINT inbox_pkey DO NOTHING
"""
LOAD = "SELECT version, data::text, hash, at FROM log.events WHERE stream = %s ORDER BY version"

Connection = psycopg.AsyncConnection[tuple[Any, ...]]


async def append(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    ours, theirs = await ground.database("bench_append"), await ground.database("bench_append_peer")
    store_at = await ground.database("bench_append_store")
    log = EventLog(create_engine(ours.url, pool_size=max(CALLERS)), ServiceName.DEPLOYMENTS)
    async with AsyncExitStack() as ends:
        ends.push_async_callback(log.close)
        connections = [
            await ends.enter_async_context(await psycopg.AsyncConnection.connect(theirs.url, autocommit=True))
            for _ in range(max(CALLERS))
        ]
        store = ends.enter_context(eventstore.opened(store_at.url, CALLERS_OF_THE_STORE))
        for callers in CALLERS:
            contenders = _contenders(log, connections, callers, options.seconds)
            if callers == CALLERS_OF_THE_STORE:
                contenders[STORE] = lambda: asyncio.to_thread(store.appends_per_second, options.seconds)
            await paired(1, contenders)  # connections, prepared statements, caches
            rounds = await paired(options.rounds, contenders)
            for peer in contenders:
                if peer != OURS:
                    yield result(f"append.{callers}", UNIT, peer, rounds)


def _contenders(log: EventLog, connections: list[Connection], callers: int, seconds: float) -> dict[str, Measure]:
    parameters = event_parameters()

    async def ours(_: int) -> None:
        await execute(log)

    async def bare(number: int) -> None:
        await connections[number].execute(INSERT, (f"deployment-{uuid4()}", *parameters))

    async def same(number: int) -> None:
        stream = f"deployment-{uuid4()}"
        connection = connections[number]
        async with connection.transaction():
            await connection.execute(LOCK, (lock_keys([stream])[0],))
            await connection.execute(HEAR, (stream,))
            await (await connection.execute(LOAD, (stream,))).fetchall()
            await connection.execute(INSERT, (stream, *parameters))

    return {
        OURS: lambda: calls_per_second(callers, seconds, ours),
        BARE: lambda: calls_per_second(callers, seconds, bare),
        SAME: lambda: calls_per_second(callers, seconds, same),
    }


async def execute(log: EventLog) -> UUID:
    """A deployment is queued, because a submission was heard of. Its id."""
    told = submission()
    stream = f"submission-{told.deployment_id}"
    heard = Envelope(uuid4(), "packages", stream, 1, told, "bench", told.deployment_id)
    command = QueueDeployment(told)
    await log.execute(HUB, told.deployment_id, command, cause=Message("deployments", heard))
    return told.deployment_id


def event_parameters() -> list[Any]:
    """Of the INSERT, without the stream. Made ready before: the peers pay for the database alone."""
    told = submission()
    events = HUB.decide(HUB.initial, QueueDeployment(told))
    cause = Cause("bench", told.deployment_id, causation_id=uuid4())
    parameters, _ = rows_for("", Head(), events, cause)
    return parameters[1:]
