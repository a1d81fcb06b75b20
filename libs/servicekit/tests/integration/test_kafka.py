"""Against a real broker and a real Postgres: nothing lost, nothing twice, poison holds only its own key."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from aiokafka import TopicPartition
from sqlalchemy import text

from pac.contracts.envelope import to_kafka
from pac.contracts.gateway import AgentAppChanged, AgentAppCreated, GatewayEvent
from pac.contracts.topics import ServiceName
from pac.eventlog import Conflict, EventLog, Message, Raw, TooEarly
from pac.servicekit.kafka import Subscription, Subscriptions, Watch
from pac.servicekit.service import Service
from pac.servicekit.settings import ServiceSettings
from pac.testkit.kafka import KafkaServer, Stream, crash
from pac.testkit.postgres import Database, DatabaseOf, EventLogOf, PostgresServer
from pac.testkit.service import running, service_settings

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ACCOUNT = UUID(int=1)
EFFECTS = "CREATE TABLE IF NOT EXISTS state.effects (id bigserial, app text, policy text)"
PATIENCE_SECONDS = 40.0


def created(app: UUID) -> AgentAppCreated:
    return AgentAppCreated(account_id=ACCOUNT, at=NOW, agent_app_id=app)


def changed(app: UUID, number: int) -> AgentAppChanged:
    return AgentAppChanged(account_id=ACCOUNT, at=NOW, agent_app_id=app, deploy_policy=str(number))


class PoisonedError(RuntimeError):
    pass


@dataclass
class Consumers:
    """Writes one row per AgentAppChanged, in the message's own transaction. What is in `poison` crashes."""

    log: EventLog
    poison: set[tuple[str, str]] = field(default_factory=set)
    early: set[str] = field(default_factory=set)
    pause_seconds: float = 0.0
    tried: Counter[str] = field(default_factory=Counter)

    async def on_gateway_event(self, message: Message[GatewayEvent]) -> None:
        event = message.event
        if not isinstance(event, AgentAppChanged):
            return
        app, policy = str(event.agent_app_id), event.deploy_policy or ""
        self.tried[app] += 1
        await asyncio.sleep(self.pause_seconds)
        async with self.log.transaction(f"appstate-{app}", cause=message) as tx:
            await tx.execute(text("INSERT INTO state.effects (app, policy) VALUES (:a, :p)"), {"a": app, "p": policy})
            if (app, policy) in self.poison:
                raise PoisonedError(policy)
            if app in self.early:
                raise TooEarly(app)


async def effects(log: EventLog) -> list[tuple[str, str]]:
    async with log.reading() as connection:
        return [
            (row[0], row[1])
            for row in await connection.execute(text("SELECT app, policy FROM state.effects ORDER BY id"))
        ]


async def until(condition: Callable[[], Awaitable[Any]], *, patience: float = PATIENCE_SECONDS) -> None:
    """Asks until it is so; the test fails by its last answer when it never is."""
    async with asyncio.timeout(patience):
        while not await condition():  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.02)


def of(app: UUID, all_effects: list[tuple[str, str]]) -> list[int]:
    return [int(policy) for name, policy in all_effects if name == str(app)]


@dataclass
class Bench:
    """One consumer service over a fresh database and fresh topics."""

    kafka: KafkaServer
    database: Database
    event_log_of: EventLogOf

    async def consumers(self, **how: Any) -> Consumers:
        return Consumers(await self.event_log_of(ServiceName.DEPLOYMENTS, database=self.database), **how)

    def service(self, consumers: Consumers, **more: Any) -> Service:
        settings = service_settings(
            ServiceSettings, database_url=self.database.url, kafka_servers=self.kafka.servers, **more
        )
        return Service(
            name=ServiceName.DEPLOYMENTS,
            settings=settings,
            log=consumers.log,
            subscriptions=[Subscription(ServiceName.GATEWAY, consumers.on_gateway_event)],
        )


@pytest.fixture
async def bench(kafka: KafkaServer, database_of: DatabaseOf, event_log_of: EventLogOf) -> Bench:
    database = await database_of()
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        await connection.execute(EFFECTS)
    return Bench(kafka, database, event_log_of)


def apps(count: int) -> list[tuple[UUID, Stream]]:
    found = [uuid4() for _ in range(count)]
    return [(app, Stream(ServiceName.GATEWAY, f"app-{app}")) for app in found]


async def test_a_crash_parks_its_key_in_order_while_other_keys_flow(bench: Bench) -> None:
    consumers = await bench.consumers()
    (sick, sick_stream), *others = apps(4)
    consumers.poison.add((str(sick), "2"))
    async with running(bench.service(consumers, retry_limit=100)):
        for number in range(1, 6):
            await bench.kafka.publish(
                *(stream.say(changed(app, number)) for app, stream in [(sick, sick_stream), *others])
            )

        async def others_are_done() -> bool:
            done = await effects(consumers.log)
            return all(of(app, done) == [1, 2, 3, 4, 5] for app, _ in others)

        await until(others_are_done)
        assert of(sick, await effects(consumers.log)) == [1]
        consumers.poison.clear()

        async def sick_is_done() -> bool:
            return len(of(sick, await effects(consumers.log))) >= 5

        await until(sick_is_done)
        assert of(sick, await effects(consumers.log)) == [1, 2, 3, 4, 5]


async def test_a_client_that_has_died_is_replaced(bench: Bench) -> None:
    """aiokafka's task of group membership survives Kafka's errors only; seen with a broker killed again and again."""
    consumers = await bench.consumers()
    [(app, stream)] = apps(1)
    async with running(bench.service(consumers)) as client:
        await bench.kafka.publish(stream.say(changed(app, 1)))

        async def heard(count: int) -> bool:
            return len(of(app, await effects(consumers.log))) == count

        await until(lambda: heard(1))
        broken = client.running.subscriptions.client
        assert broken is not None

        async def fails() -> None:
            raise KeyError("a connection that is gone")

        broken._coordinator.ensure_coordinator_known = fails
        broken._coordinator.coordinator_dead()

        async def has_died() -> bool:
            return isinstance(broken.died_of(), KeyError)

        await until(has_died)
        await bench.kafka.publish(stream.say(changed(app, 2)))
        await until(lambda: heard(2))
        assert client.running.subscriptions.client is not broken


async def test_what_stays_broken_gets_a_copy_among_the_dead_letters_and_holds_its_key(bench: Bench) -> None:
    consumers = await bench.consumers()
    [(sick, stream)] = apps(1)
    consumers.poison.add((str(sick), "1"))
    async with running(bench.service(consumers, retry_limit=2, retry_interval_seconds=0.05)):
        await bench.kafka.publish(stream.say(changed(sick, 1)), stream.say(changed(sick, 2)))

        async def dead() -> list[Any]:
            return await bench.kafka.records("deployments.dead-letters")

        await until(dead)
        [letter] = await dead()
        headers = dict(letter.headers)
        assert letter.key == str(sick).encode()
        assert headers["ce_type"] == b"AgentAppChanged"
        assert b"Poisoned" in headers["pac_reason"]
        assert await effects(consumers.log) == []


async def test_unreadable_messages_are_parked_and_hold_nobody_else(bench: Bench) -> None:
    consumers = await bench.consumers()
    [(app, stream)] = apps(1)
    async with running(bench.service(consumers)):
        await bench.kafka.publish_raw(
            ("gateway.events", b"broken", b"{", [("ce_type", b"AgentAppChanged")]),
            ("gateway.events", b"binary", b"\xff\xfe", [("ce_id", b"\xff\xfe")]),
            ("gateway.events", None, b"", []),
        )
        await bench.kafka.publish(stream.say(changed(app, 1)))

        async def done() -> bool:
            async with consumers.log.reading() as connection:
                parked = await connection.scalar(text("SELECT count(*) FROM log.parked"))
            return of(app, await effects(consumers.log)) == [1] and parked == 3

        await until(done)


async def test_what_comes_too_early_is_placed_as_soon_as_it_can_be_and_never_dead(bench: Bench) -> None:
    consumers = await bench.consumers()
    [(app, stream)] = apps(1)
    consumers.early.add(str(app))
    async with running(bench.service(consumers, retry_limit=1, retry_interval_seconds=0.05)) as client:
        await bench.kafka.publish(stream.say(changed(app, 1)), stream.say(changed(app, 2)))

        async def tried_often() -> bool:
            return consumers.tried[str(app)] > 4

        await until(tried_often)
        assert await effects(consumers.log) == []
        consumers.early.clear()

        async def placed() -> bool:
            return of(app, await effects(consumers.log)) == [1, 2]

        await until(placed)
        assert await bench.kafka.records("deployments.dead-letters") == []
        assert "consumer_dead_letters_total 0.0" in (await client.admin("/metrics")).body


async def test_an_ignored_type_still_moves_the_inbox(bench: Bench) -> None:
    consumers = await bench.consumers()
    [(app, stream)] = apps(1)
    async with running(bench.service(consumers)):
        await bench.kafka.publish(stream.say(created(app)), stream.say(changed(app, 1)))

        async def done() -> bool:
            return of(app, await effects(consumers.log)) == [1]

        await until(done)
        assert await consumers.log.inbox("deployments", "gateway", stream.stream) == 2


async def test_repeats_change_nothing(bench: Bench) -> None:
    consumers = await bench.consumers()
    [(app, stream)] = apps(1)
    told = [stream.say(changed(app, number)) for number in (1, 2)]
    last = stream.say(changed(app, 3))
    async with running(bench.service(consumers)):
        await bench.kafka.publish(*told, *told, last)

        async def done() -> bool:
            return 3 in of(app, await effects(consumers.log))

        await until(done)
        assert of(app, await effects(consumers.log)) == [1, 2, 3]


async def test_caught_up_is_true_only_when_everything_heard_is_done(bench: Bench) -> None:
    consumers = await bench.consumers(pause_seconds=0.3)
    service = bench.service(consumers)
    [(app, stream)] = apps(1)
    assert not service.consuming.caught_up()
    await bench.kafka.publish(*(stream.say(changed(app, number)) for number in range(4)))
    async with running(service):

        async def caught_up() -> bool:
            return service.consuming.caught_up()

        await until(caught_up)
        assert len(await effects(consumers.log)) == 4
        assert len(await bench.kafka.committed("deployments")) == 3  # first offsets, also of empty partitions


async def all_done(log: EventLog, told: list[tuple[UUID, Stream]], each: int) -> bool:
    done = Counter(name for name, _ in await effects(log))
    return all(done[str(app)] >= each for app, _ in told)


async def check_each_once_in_order(log: EventLog, told: list[tuple[UUID, Stream]], each: int) -> None:
    done = await effects(log)
    for app, _ in told:
        assert of(app, done) == list(range(each))


async def publish_rounds(kafka: KafkaServer, told: list[tuple[UUID, Stream]], each: int) -> None:
    async with kafka.producer() as producer:
        for number in range(each):
            for app, stream in told:
                key, value, headers = to_kafka(stream.say(changed(app, number)))
                await producer.send("gateway.events", value, key=key, headers=headers)
        await producer.flush()


async def test_while_postgres_is_away_messages_wait_in_place_and_none_is_lost(
    bench: Bench, postgres: PostgresServer
) -> None:
    consumers = await bench.consumers(pause_seconds=0.002)
    told = apps(6)
    async with running(bench.service(consumers, consumer_batch_size=20)) as client:
        await publish_rounds(bench.kafka, told, 20)
        for some in (10, 40, 70):

            async def so_many(some: int = some) -> bool:
                return sum(consumers.tried.values()) >= some

            await until(so_many)
            await crash(postgres.stack, "postgres")

        async def done() -> bool:
            try:
                return await all_done(consumers.log, told, 20)
            except OSError:
                return False

        await until(done)
        await check_each_once_in_order(consumers.log, told, 20)
        assert await parked_count(consumers.log) == 0
        assert "consumer_waits_total 0.0" not in (await client.admin("/metrics")).body


async def parked_count(log: EventLog) -> int:
    async with log.reading() as connection:
        return int(await connection.scalar(text("SELECT count(*) FROM log.parked")) or 0)


async def test_what_gives_up_waiting_is_read_again(bench: Bench) -> None:
    consumers = await bench.consumers()
    away = Away(consumers, failures=30)
    service = bench.service(consumers, consumer_wait_seconds=0.2)
    service = replace(service, subscriptions=[Subscription(ServiceName.GATEWAY, away.on_gateway_event)])
    told = apps(4)
    async with running(service):
        await publish_rounds(bench.kafka, told, 3)

        async def done() -> bool:
            return await all_done(consumers.log, told, 3)

        await until(done)
    await check_each_once_in_order(consumers.log, told, 3)


@dataclass
class Away:
    """A neighbour that is away for the first calls."""

    then: Consumers
    failures: int

    async def on_gateway_event(self, message: Message[GatewayEvent]) -> None:
        self.failures -= 1
        if self.failures >= 0:
            raise ConnectionRefusedError("away")
        await self.then.on_gateway_event(message)


async def test_a_shelf_that_cannot_be_looked_at_loses_nothing(bench: Bench) -> None:
    consumers = await bench.consumers()
    told = apps(4)
    async with (
        await psycopg.AsyncConnection.connect(bench.database.url, autocommit=True) as connection,
        running(bench.service(consumers)) as client,
    ):
        consumer = client.running.subscriptions.client
        assert consumer is not None
        await connection.execute("ALTER TABLE log.parked RENAME TO elsewhere")
        await publish_rounds(bench.kafka, told, 1)

        async def read() -> bool:
            return any([await consumer.position(place) > 0 for place in consumer.assignment()])

        await until(read)
        await connection.execute("ALTER TABLE log.elsewhere RENAME TO parked")

        async def done() -> bool:
            return await all_done(consumers.log, told, 1)

        await until(done)
    await check_each_once_in_order(consumers.log, told, 1)


async def test_an_outage_within_a_batch_holds_it_up_no_longer_than_one_wait(bench: Bench) -> None:
    """Kafka takes the partitions from who does not poll, and /livez would have the process killed."""
    consumers = await bench.consumers()
    away = Away(consumers, failures=1_000_000)
    service = bench.service(consumers, consumer_wait_seconds=0.5, consumer_parallel_keys=2)
    service = replace(service, subscriptions=[Subscription(ServiceName.GATEWAY, away.on_gateway_event)])
    records = []
    for offset, (app, stream) in enumerate(apps(30)):
        key, value, headers = to_kafka(stream.say(changed(app, 1)))
        records.append(Raw("gateway.events", 0, offset, key, value, headers))
    began = time.monotonic()
    undone = await Subscriptions.of(service)._handle(records)
    assert sorted(record.offset for record in undone) == list(range(30))
    assert time.monotonic() - began < 3


async def test_a_lost_race_is_begun_anew_and_parks_nothing(bench: Bench) -> None:
    consumers = await bench.consumers()
    losing = Losing(consumers, losses=3)
    service = bench.service(consumers)
    service = replace(service, subscriptions=[Subscription(ServiceName.GATEWAY, losing.on_gateway_event)])
    subscriptions = Subscriptions.of(service)
    [(app, stream)] = apps(1)
    key, value, headers = to_kafka(stream.say(changed(app, 1)))
    assert await subscriptions._handle([Raw("gateway.events", 0, 0, key, value, headers)]) == []
    assert of(app, await effects(consumers.log)) == [1]
    assert not await subscriptions.parked.parking.is_parked(str(app))


@dataclass
class Losing:
    """Somebody else is first, for the first calls."""

    then: Consumers
    losses: int

    async def on_gateway_event(self, message: Message[GatewayEvent]) -> None:
        self.losses -= 1
        if self.losses >= 0:
            raise Conflict("app")
        await self.then.on_gateway_event(message)


async def test_first_offsets_never_take_back_what_was_acknowledged(bench: Bench) -> None:
    """The watch finds nothing committed, and before it commits the beginning the consumer commits more."""
    consumers = await bench.consumers()
    subscriptions = Subscriptions.of(bench.service(consumers))
    [(app, stream)] = apps(1)
    key, value, headers = to_kafka(stream.say(changed(app, 1)))
    record = Raw("gateway.events", 0, 41, key, value, headers)
    client = Racing(subscriptions, record)
    await Watch(subscriptions)._look(client)  # type: ignore[arg-type] # what the watch needs of it
    assert client.committed == {TopicPartition("gateway.events", 0): 42, TopicPartition("gateway.events", 1): 7}


@dataclass
class Racing:
    """A consumer of two partitions; the first one's records are acknowledged while their beginning is asked for."""

    of: Subscriptions
    record: Raw
    committed: dict[TopicPartition, int] = field(default_factory=dict)

    def partitions_for_topic(self, topic: str) -> set[int]:  # noqa: ARG002 - there is one
        return {0, 1}

    def assignment(self) -> set[TopicPartition]:
        return {TopicPartition("gateway.events", number) for number in (0, 1)}

    async def committed_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        return dict.fromkeys(places)

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 50)

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        await self.of._acknowledge(self, [self.record], [])  # type: ignore[arg-type]
        return dict.fromkeys(places, 7)

    async def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.committed |= offsets


async def test_replicas_that_come_and_go_do_each_thing_once(bench: Bench) -> None:
    watcher = await bench.consumers()
    told = apps(9)
    each = 40

    async def replica() -> Service:
        return bench.service(await bench.consumers(pause_seconds=0.002), consumer_batch_size=10)

    async def some_done(count: int) -> None:
        async def enough() -> bool:
            return len(await effects(watcher.log)) >= count

        await until(enough)

    async with running(await replica()):
        publishing = asyncio.create_task(publish_rounds(bench.kafka, told, each))
        await some_done(40)
        async with running(await replica()):
            await some_done(120)
            async with running(await replica()):
                await some_done(200)
        await publishing
        await until(lambda: all_done(watcher.log, told, each))
    await check_each_once_in_order(watcher.log, told, each)


async def test_a_broker_that_is_killed_and_comes_back_costs_nothing(bench: Bench) -> None:
    consumers = await bench.consumers(pause_seconds=0.002)
    told = apps(6)
    service = bench.service(consumers, consumer_batch_size=10)
    async with running(service):
        await publish_rounds(bench.kafka, told, 20)

        async def begun() -> bool:
            return sum(consumers.tried.values()) > 10

        await until(begun)
        await bench.kafka.crash()
        await publish_rounds(bench.kafka, told_on := apps(3), 5)
        await until(lambda: all_done(consumers.log, told, 20))
        await until(lambda: all_done(consumers.log, told_on, 5))

        async def caught_up() -> bool:
            return service.consuming.caught_up()

        await until(caught_up)
    await check_each_once_in_order(consumers.log, told, 20)
    await check_each_once_in_order(consumers.log, told_on, 5)


class AcknowledgesFirst(Subscriptions):
    """The mutant: commits before the effects, as FastStream does by default."""

    async def _consume(self, found: Any) -> None:
        client = self.client
        assert client is not None
        await self._acknowledge(client, found, ())
        await super()._consume(found)


@pytest.mark.parametrize("kind", [Subscriptions, AcknowledgesFirst])
async def test_a_process_that_dies_between_reading_and_doing_loses_nothing(
    bench: Bench, kind: type[Subscriptions]
) -> None:
    told = apps(3)
    stuck = await bench.consumers(pause_seconds=3600)
    dying = kind.of(bench.service(stuck))
    await publish_rounds(bench.kafka, told, 2)
    await dying.start()

    async def reading() -> bool:
        return sum(stuck.tried.values()) > 0

    await until(reading)
    await dying.stop(timeout_seconds=0.3)  # too short for its handler: as if it were killed
    survivor = await bench.consumers()
    service = bench.service(survivor)
    async with running(service):

        async def caught_up() -> bool:
            return service.consuming.caught_up()

        await until(caught_up)
    if kind is Subscriptions:
        await check_each_once_in_order(survivor.log, told, 2)
    else:
        with pytest.raises(AssertionError):
            await check_each_once_in_order(survivor.log, told, 2)
