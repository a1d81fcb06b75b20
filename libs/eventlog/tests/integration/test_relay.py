"""The relay against a real Kafka and a real Postgres: nothing lost, order kept, one leader."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from sqlalchemy import text

from pac.contracts.base import Outcome
from pac.contracts.deployments import DeploymentAborted
from pac.contracts.envelope import from_kafka
from pac.contracts.topics import EVENTS_OF, ServiceName
from pac.eventlog import EventLog, EventTooLarge, Lease, Leases, LogOutOfOrder, Relay, StaleLease
from pac.eventlog.checkpoints import position_in
from pac.eventlog.record import EVENT_MAX_BYTES
from pac.eventlog.relay import _Leading
from pac.testkit.eventually import eventually
from pac.testkit.kafka import KafkaServer
from pac.testkit.postgres import Database

TOPIC = ServiceName.DEPLOYMENTS.topic
LEASE_SECONDS = 1.0


class Broker:
    """A producer that only remembers; for what does not depend on Kafka."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def send(self, topic: str, value: bytes, key: bytes, *, headers: list[tuple[str, bytes]]) -> Awaitable[Any]:
        told = dict(headers)
        assert topic == TOPIC
        assert value
        assert told["ce_subject"].endswith(b"-" + key)
        self.said.append((told["ce_subject"].decode(), int(told["ce_sequence"])))
        acknowledged: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged


def producing(kafka: KafkaServer) -> Callable[[], Any]:
    return lambda: AIOKafkaProducer(
        bootstrap_servers=kafka.servers, enable_idempotence=True, acks="all", request_timeout_ms=10_000
    )


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(relay.run()) for relay in relays]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def readable(log: EventLog) -> bool:
    """Nothing older is in flight, in whatever database of this cluster."""
    return await log.watermark_age_seconds() == 0


async def written(log: EventLog, example: Any, apps: Sequence[UUID], times: int) -> None:
    for _ in range(times):
        await asyncio.gather(
            *(log.execute(example.decider, app, example.pin(app), cause=example.cause) for app in apps)
        )
    await eventually(lambda: readable(log))


async def nothing_unsent(log: EventLog) -> bool:
    return await log.relay_backlog_seconds() == 0


def in_order_without_loss(records: Sequence[Any], apps: Sequence[UUID], times: int) -> int:
    """Asserts it; gives the number of repeats."""
    heard: dict[str, int] = {}
    repeats = 0
    for record in records:
        envelope = from_kafka(record.value, record.headers, EVENTS_OF[ServiceName.DEPLOYMENTS])
        assert record.key.decode() == envelope.key
        last = heard.get(envelope.stream, 0)
        assert envelope.version <= last + 1, "a gap"
        repeats += envelope.version <= last
        heard[envelope.stream] = max(last, envelope.version)
    assert heard == {f"appstate-{app}": times for app in apps}
    return repeats


async def test_kafka_has_every_event_once_and_in_order(event_log: EventLog, kafka: KafkaServer, example: Any) -> None:
    apps = [uuid4() for _ in range(12)]
    async with running(Relay(event_log, TOPIC, producing(kafka))):
        await written(event_log, example, apps, times=15)
        await eventually(lambda: nothing_unsent(event_log))
    assert in_order_without_loss(await kafka.records(TOPIC), apps, times=15) == 0


def filling(size_bytes: int) -> list[str]:
    """Lines that take so many bytes in a JSON list; a line is cut at 1000 characters."""
    return ["x" * 997] * ((size_bytes - 2) // 1000) + ["x" * ((size_bytes - 2) % 1000)]


async def test_the_largest_event_passes_and_a_larger_one_is_refused_before_it_is_written(
    event_log: EventLog, kafka: KafkaServer, example: Any
) -> None:
    app, deployment = uuid4(), uuid4()
    stream, cause = f"deployment-{deployment}", replace(example.cause, actor="a" * 1000)

    def aborted(*filled: str) -> DeploymentAborted:
        return DeploymentAborted(
            account_id=uuid4(),
            at=example.pin(app).at,
            deployment_id=deployment,
            agent_app_id=app,
            package_id=uuid4(),
            outcome=Outcome.FAILED,
            code="invalid_package",
            error="Package validation failed",
            error_details=filled,
            due_at=example.pin(app).at,
        )

    largest = EVENT_MAX_BYTES - len(orjson.dumps(aborted().model_dump(mode="json")))
    async with event_log.transaction(stream, cause=cause) as tx:
        await tx.append(stream, [aborted(*filling(largest))], expected_version=0)
    with pytest.raises(EventTooLarge):
        async with event_log.transaction(stream, cause=cause) as tx:
            await tx.append(stream, [aborted(*filling(largest + 1))], expected_version=1)
    async with running(Relay(event_log, TOPIC, producing(kafka))):
        await written(event_log, example, [app], times=1)
        await eventually(lambda: nothing_unsent(event_log))
    # Two keys, perhaps on two partitions: which of them is read first means nothing.
    assert sorted(record.key.decode() for record in await kafka.records(TOPIC)) == sorted([str(deployment), str(app)])


PROGRAM = """
import asyncio, os, signal, sys
from aiokafka import AIOKafkaProducer
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Relay, create_engine
from pac.eventlog.relay import _Leading

async def die(self, before, after):
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    log = EventLog(create_engine(os.environ["DATABASE_URL"]), ServiceName.DEPLOYMENTS)
    producing = lambda: AIOKafkaProducer(bootstrap_servers=sys.argv[1], enable_idempotence=True, acks="all")
    await Relay(log, sys.argv[2], producing, batch_size=40, lease_seconds=1).run()

_Leading._move = die
asyncio.run(main())
"""


async def test_a_relay_killed_between_send_and_checkpoint_only_repeats(
    event_log: EventLog, database: Database, kafka: KafkaServer, example: Any
) -> None:
    apps = [uuid4() for _ in range(6)]
    await written(event_log, example, apps, times=10)
    environment = {**os.environ, "DATABASE_URL": database.url}
    program = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, kafka.servers, TOPIC, env=environment)
    assert await asyncio.wait_for(program.wait(), 60) == -signal.SIGKILL
    async with running(Relay(event_log, TOPIC, producing(kafka), lease_seconds=LEASE_SECONDS)):
        await eventually(lambda: nothing_unsent(event_log))
    assert in_order_without_loss(await kafka.records(TOPIC), apps, times=10) == 40


async def test_a_broker_that_is_away_is_waited_for(event_log: EventLog, kafka: KafkaServer, example: Any) -> None:
    apps = [uuid4() for _ in range(4)]
    async with running(Relay(event_log, TOPIC, producing(kafka))):
        await written(event_log, example, apps, times=2)
        await eventually(lambda: nothing_unsent(event_log))
        crashed = asyncio.create_task(kafka.crash())
        await written(event_log, example, apps, times=3)
        await crashed
        await eventually(lambda: nothing_unsent(event_log), seconds=60)
    in_order_without_loss(await kafka.records(TOPIC), apps, times=5)


async def test_of_two_relays_one_leads_and_the_other_follows_it(
    event_log: EventLog, database: Database, event_log_of: Any, example: Any
) -> None:
    other_log = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    brokers = [Broker(), Broker()]
    relays = [
        Relay(log, TOPIC, lambda broker=broker: broker, lease_seconds=LEASE_SECONDS)  # type: ignore[misc]
        for log, broker in zip((event_log, other_log), brokers, strict=True)
    ]
    app = uuid4()
    async with running(relays[1]):
        async with running(relays[0]):
            await written(event_log, example, [app], times=10)
            await eventually(lambda: nothing_unsent(event_log))
        await written(event_log, example, [app], times=10)
        await eventually(lambda: nothing_unsent(event_log))
    everything = sorted(brokers[0].said + brokers[1].said, key=lambda said: said[1])
    assert everything == [(f"appstate-{app}", version) for version in range(1, 21)]


async def test_a_leader_that_slept_through_its_lease_cannot_move_the_checkpoint(
    event_log: EventLog, example: Any
) -> None:
    await written(event_log, example, [uuid4()], times=3)
    leases = Leases(event_log, seconds=0.05)
    stale = await leases.acquire("relay")
    assert stale is not None
    newer = await eventually(lambda: Leases(event_log, seconds=30).acquire("relay"))
    assert newer is not None
    assert newer.token > stale.token
    with pytest.raises(StaleLease):
        await _Leading(event_log, Broker(), TOPIC, stale, 100).step()
    assert (await position_in(event_log, "relay")).number == 0
    assert await _Leading(event_log, Broker(), TOPIC, newer, 100).step()
    assert (await position_in(event_log, "relay")).number > 0


async def test_an_expired_lease_is_worth_nothing_even_if_nobody_took_it(event_log: EventLog, example: Any) -> None:
    await written(event_log, example, [uuid4()], times=1)
    leases = Leases(event_log, seconds=0)
    stale = await leases.acquire("relay")
    assert stale is not None
    assert not await leases.renew(stale)
    with pytest.raises(StaleLease):
        await _Leading(event_log, Broker(), TOPIC, stale, 100).step()


async def test_a_hole_in_a_stream_stops_the_relay_loudly(database_of: Any, event_log_of: Any, example: Any) -> None:
    log: EventLog = await event_log_of(ServiceName.DEPLOYMENTS, database=await database_of(laws=False))
    app = uuid4()
    await written(log, example, [app], times=3)
    async with log.engine.begin() as connection:
        await connection.execute(text("ALTER TABLE log.events DISABLE TRIGGER only_added_to"))
        await connection.execute(text("DELETE FROM log.events WHERE version = 2"))
    broker = Broker()
    with pytest.raises(LogOutOfOrder, match="version 3 where 2 was due"):
        await Relay(log, TOPIC, lambda: broker).run()
    assert broker.said == []


async def test_order_is_checked_across_batches_and_leaders(event_log: EventLog, example: Any) -> None:
    await written(event_log, example, [uuid4(), uuid4()], times=5)
    broker = Broker()
    lease = await Leases(event_log).acquire("relay")
    assert isinstance(lease, Lease)
    for _ in range(5):
        assert await _Leading(event_log, broker, TOPIC, lease, 2).step()
    assert len(broker.said) == len(set(broker.said)) == 10
