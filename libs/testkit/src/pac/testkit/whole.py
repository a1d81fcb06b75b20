"""The laws of a whole PAC at rest: five logs, the money, the read side, what is stored. It only reads.

A law gives the lines of what breaks it. Those of rest become true by themselves, so they are waited for; the others are
asked once, afterwards. Where a law needs two databases, it is asked of both at rest.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import psycopg
from sqlalchemy import text

from pac.billing.laws import broken_laws as broken_laws_of_money
from pac.contracts.topics import ServiceName
from pac.deployments.projections import Deployments
from pac.eventlog import create_engine
from pac.eventlog.record import placed_from
from pac.servicekit.objects import Objects, ObjectsSettings
from pac.testkit.laws import broken_laws as broken_laws_of_a_log

GATEWAY, PACKAGES, DEPLOYMENTS = ServiceName.GATEWAY, ServiceName.PACKAGES, ServiceName.DEPLOYMENTS
BILLING, NOTIFIER = ServiceName.BILLING, ServiceName.RUNTIME_NOTIFIER
HEARS: Mapping[ServiceName, tuple[ServiceName, ...]] = {
    PACKAGES: (GATEWAY, DEPLOYMENTS, BILLING),
    DEPLOYMENTS: (GATEWAY, PACKAGES, BILLING, NOTIFIER),
    BILLING: (GATEWAY, DEPLOYMENTS),
    NOTIFIER: (GATEWAY, DEPLOYMENTS),
}
ENDS = {
    "DeploymentCompleted": {"CreditsCaptured"},
    "DeploymentRejected": {"CreditsRefused"},
    "DeploymentFailed": {"CreditsReleased", "CreditsRefused"},
    "DeploymentCancelled": {"CreditsReleased", "CreditsRefused"},
}
EXAMPLES_MAX = 5
BATCH = 500

UNSENT = """
SELECT format('the relay has not sent %s at version %s', stream, version) FROM log.events
WHERE (xid, position) > ALL (SELECT xid, position FROM log.checkpoints WHERE reader = 'relay') ORDER BY position
"""
PARKED = "SELECT format('%s has parked %s of %s: %s', consumer, subject, topic, reason) FROM log.parked ORDER BY id"
# A receiver of webhooks that is away is waited for, for days.
JOBS = "SELECT format('job %s %s is left (attempt %s)', queue, key, attempts) FROM state.jobs WHERE queue <> 'webhooks'"
OPEN_DEPLOYMENTS = "SELECT format('deployment %s is %s', deployment_id, status) FROM state.queue"
OPEN_SUBMISSIONS = (
    "SELECT format('submission of deployment %s is open', deployment_id) FROM state.submissions WHERE open"
)
OPEN_DELIVERIES = """
SELECT format('delivery of deployment %s is open', deployment_id) FROM state.deliveries WHERE NOT closed AND NOT done
"""
UNPROJECTED = """
SELECT format('projection deployments has not seen %s at version %s', stream, version) FROM log.events
WHERE (xid, position) > ALL (SELECT xid, position FROM log.checkpoints WHERE reader = 'deployments') ORDER BY position
"""
HELD_CREDITS = "SELECT format('account %s: %s reserved', account_id, reserved) FROM state.balances WHERE reserved <> 0"
HEADS = "SELECT stream, max(version) FROM log.events GROUP BY stream"
INBOX = "SELECT stream, version FROM log.inbox WHERE consumer = %s AND source = %s"
LAST = "SELECT DISTINCT ON (stream) stream, type FROM log.events WHERE stream LIKE %s ORDER BY stream, version DESC"
FIRST = "SELECT stream FROM log.events WHERE stream LIKE %s AND version = 1"
STAGED = "SELECT staging_key FROM state.packages WHERE staging_key IS NOT NULL UNION SELECT key FROM state.leftovers"
KEPT = "SELECT object_key FROM state.packages WHERE status IN ('stored', 'superseded') AND collected_at IS NULL"
ADDRESSED = """
SELECT object_key FROM state.packages WHERE collected_at IS NULL
UNION SELECT key FROM state.promotions UNION SELECT key FROM state.collecting
"""
SEEN_BY_PROJECTION = """
SELECT stream, version, data::text, (metadata->>'data_version')::int FROM log.events
WHERE (xid, position) <= ALL (SELECT xid, position FROM log.checkpoints WHERE reader = 'deployments')
ORDER BY xid, position
"""


class LawsBroken(AssertionError):  # noqa: N818 - an assertion about the world, told as a sentence
    """The message has a line for everything that breaks a law."""


@dataclass(frozen=True)
class World:
    """Where the five services keep what they know. `urls` are an operator's: they may read all of it."""

    urls: Mapping[ServiceName, str] = field(repr=False)
    bucket: ObjectsSettings

    @classmethod
    def of(cls, status: Mapping[str, Any]) -> Self:
        """From the object of `pac status -o json`."""
        server, s3 = str(status["postgres_url"]).rpartition("/")[0], status["s3"]
        settings = {
            "S3_ENDPOINT_URL": s3["endpoint"],
            "S3_BUCKET": s3["bucket"],
            "AWS_ACCESS_KEY_ID": s3["access_key"],
            "AWS_SECRET_ACCESS_KEY": s3["secret_key"],
        }
        return cls({one: f"{server}/{one.module}" for one in ServiceName}, ObjectsSettings.model_validate(settings))

    async def rows(self, service: ServiceName, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        async with await psycopg.AsyncConnection.connect(self.urls[service], autocommit=True) as connection:
            return await (await connection.execute(statement.encode(), parameters or None)).fetchall()

    async def lines(self, service: ServiceName, statement: str) -> list[str]:
        found = [f"{service.value}: {line}" for (line,) in await self.rows(service, statement)]
        return found[:EXAMPLES_MAX] + ([f"… {len(found)} in all"] if len(found) > EXAMPLES_MAX else [])


Law = Callable[[World], Awaitable[list[str]]]


async def hold(world: World, *, patience_seconds: float = 20.0) -> None:
    """Raises LawsBroken unless it comes to rest in time, with every law held."""
    deadline = asyncio.get_running_loop().time() + patience_seconds
    while found := await broken(world, LAWS_OF_REST):
        if asyncio.get_running_loop().time() > deadline:
            raise LawsBroken("PAC does not come to rest:\n" + "\n".join(found))
        await asyncio.sleep(0.1)
    if found := await broken(world, LAWS):
        raise LawsBroken("\n".join(found))


async def broken(world: World, laws: tuple[Law, ...]) -> list[str]:
    return [line for law in laws for line in await law(world)]


# ---- rest ------------------------------------------------------------------------------------------------------------


async def nothing_is_open(world: World) -> list[str]:
    asked = ((DEPLOYMENTS, OPEN_DEPLOYMENTS), (PACKAGES, OPEN_SUBMISSIONS), (NOTIFIER, OPEN_DELIVERIES))
    return [line for service, statement in asked for line in await world.lines(service, statement)]


async def nothing_is_left_to_do(world: World) -> list[str]:
    everywhere = [
        line for one in ServiceName for what in (UNSENT, PARKED, JOBS) for line in await world.lines(one, what)
    ]
    return everywhere + await world.lines(DEPLOYMENTS, UNPROJECTED)


async def everything_said_is_heard(world: World) -> list[str]:
    found = []
    for consumer, sources in HEARS.items():
        for source in sources:
            heard = dict(await world.rows(consumer, INBOX, consumer.value, source.value))
            heads = await world.rows(source, HEADS)
            unheard = [f"{stream} at {head}" for stream, head in heads if heard.get(stream, 0) < head]
            found += [f"{consumer.value} has not heard of {source.value}: {line}" for line in unheard[:EXAMPLES_MAX]]
    return found


# ---- what was written ------------------------------------------------------------------------------------------------


async def logs_are_sound(world: World) -> list[str]:
    return [f"{one.value}: {fault}" for one in ServiceName for fault in await broken_laws_of_a_log(world.urls[one])]


async def money_is_sound(world: World) -> list[str]:
    engine = create_engine(world.urls[BILLING], pool_size=1)
    try:
        async with engine.connect() as connection:
            at_one_position = await connection.execution_options(isolation_level="REPEATABLE READ")
            found = await broken_laws_of_money(at_one_position)
    finally:
        await engine.dispose()
    return found + await world.lines(BILLING, HELD_CREDITS)


async def ends_agree(world: World) -> list[str]:
    """No submission is lost, and terminal means settled: the hold of each deployment ended as it did."""
    ends = {_id(stream): type_ for stream, type_ in await world.rows(DEPLOYMENTS, LAST, "deployment-%")}
    holds = {_id(stream): type_ for stream, type_ in await world.rows(BILLING, LAST, "hold-%")}
    submitted = {_id(stream) for (stream,) in await world.rows(PACKAGES, FIRST, "submission-%")}
    lost = [f"deployment {one} was submitted and never queued" for one in sorted(submitted - ends.keys())]
    unknown = [f"a hold of deployment {one}, which nobody knows" for one in sorted(holds.keys() - ends.keys())]
    disagreeing = [
        f"deployment {one} ended with {end}, its hold with {holds.get(one)}"
        for one, end in sorted(ends.items())
        if holds.get(one) not in ENDS.get(end, ())
    ]
    return lost + unknown + disagreeing


async def read_side_is_a_replay(world: World) -> list[str]:
    """The projection is run again over the same log, into temporary tables of the same names."""
    projection, found = Deployments(), []
    engine = create_engine(world.urls[DEPLOYMENTS], pool_size=1)
    try:
        async with engine.connect() as connection:
            await connection.execution_options(isolation_level="REPEATABLE READ")
            rows = (await connection.execute(text(SEEN_BY_PROJECTION))).all()
            events = placed_from(DEPLOYMENTS, map(tuple, rows))
            for table in projection.tables:
                copy = f"CREATE TEMPORARY TABLE {table.name} (LIKE read.{table.name} INCLUDING ALL)"
                await connection.execute(text(copy))
            await connection.execution_options(schema_translate_map={"read": "pg_temp"})
            for first in range(0, len(events), BATCH):
                await projection.apply(connection, events[first : first + BATCH])
            for table in projection.tables:
                found += [
                    f"read.{table.name}: {row[0]}"
                    for row in await connection.execute(text(_differences(table.name, list(table.c.keys()))))
                ]
            await connection.rollback()
    finally:
        await engine.dispose()
    return found


def _differences(table: str, columns: list[str]) -> str:
    """Sums of fractions depend on their order: they are compared to the millisecond."""
    shown = ", ".join(f"round({name}::numeric, 3) AS {name}" if "seconds" in name else name for name in columns)
    live, replayed = (f"SELECT {shown} FROM {schema}.{table}" for schema in ("read", "pg_temp"))  # noqa: S608 - names above
    return f"""
    SELECT 'not in a replay: ' || row::text FROM ({live} EXCEPT {replayed}) AS row
    UNION ALL SELECT 'only in a replay: ' || row::text FROM ({replayed} EXCEPT {live}) AS row LIMIT {EXAMPLES_MAX}
    """  # noqa: S608 - names above


async def what_is_stored_is_known(world: World) -> list[str]:
    """No object without a note or a package, no package without its object."""
    staged = {key for (key,) in await world.rows(PACKAGES, STAGED)}
    kept = {key for (key,) in await world.rows(PACKAGES, KEPT)}
    async with Objects(world.bucket) as objects:
        stored = await keys_in(objects)
    addressed = {key for (key,) in await world.rows(PACKAGES, ADDRESSED)}
    known = {"staging/": staged, "packages/": addressed}
    forgotten = sorted(
        key for prefix, ours in known.items() for key in stored if key.startswith(prefix) and key not in ours
    )
    return [f"{key} is stored and forgotten" for key in forgotten[:EXAMPLES_MAX]] + [
        f"{key} is not in the bucket" for key in sorted(kept - stored)[:EXAMPLES_MAX]
    ]


async def keys_in(objects: Objects) -> set[str]:
    pages = objects._client.get_paginator("list_objects_v2").paginate(Bucket=objects.settings.bucket)  # noqa: SLF001 - no service lists
    return {str(one["Key"]) async for page in pages for one in page.get("Contents", ())}


def _id(stream: str) -> str:
    return stream.partition("-")[2]


LAWS_OF_REST: tuple[Law, ...] = (nothing_is_open, nothing_is_left_to_do, everything_said_is_heard)
LAWS: tuple[Law, ...] = (
    logs_are_sound,
    money_is_sound,
    ends_agree,
    read_side_is_a_replay,
    what_is_stored_is_known,
)
