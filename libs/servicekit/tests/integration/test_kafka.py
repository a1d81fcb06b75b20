"""Against a real broker and a real Postgres: nothing lost, nothing twice, poison holds only its own key."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text

from pac.contracts.gateway import AgentAppChanged, AgentAppCreated, GatewayEvent
from pac.contracts.topics import ServiceName
from pac.eventlog import EventLog, Message, TooEarly
from pac.servicekit.handling import Handling
from pac.servicekit.run import Running
from pac.servicekit.service import Service
from pac.servicekit.settings import ServiceSettings
from pac.servicekit.kafka import Subscription
from pac.testkit.kafka import KafkaServer, Stream
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


class Poisoned(RuntimeError):
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
                raise Poisoned(policy)
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
        while not await condition():
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
