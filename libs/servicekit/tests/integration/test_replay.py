"""Kafka deleted and filled again from the logs: what was known changes nothing, what was lost comes after all."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pac.contracts.gateway import AgentAppChanged, GatewayEvent
from pac.contracts.topics import ServiceName
from pac.eventlog import Cause, EventLog, Message, Relay
from pac.eventlog.producers import Producer
from pac.eventlog.replay import replay
from pac.servicekit.broker import kafka_producer
from pac.servicekit.kafka import Subscription
from pac.servicekit.service import Service
from pac.servicekit.settings import KafkaSettings, ServiceSettings
from pac.testkit.eventually import eventually
from pac.testkit.kafka import KafkaServer
from pac.testkit.postgres import Database, DatabaseOf, EventLogOf
from pac.testkit.service import running, service_settings

NOW = datetime(2026, 11, 23, tzinfo=UTC)
TOPIC = ServiceName.GATEWAY.topic


@dataclass
class World:
    """The gateway with its relay says things; deployments hears them and writes a row for each."""

    kafka: KafkaServer
    said: EventLog
    heard: EventLog
    database: Database

    async def say(self, app: UUID, *numbers: int) -> None:
        stream = f"app-{app}"
        events = [
            AgentAppChanged(account_id=UUID(int=1), at=NOW, agent_app_id=app, deploy_policy=str(n)) for n in numbers
        ]
        async with self.said.transaction(stream, cause=Cause("operator", uuid4())) as tx:
            await tx.append(stream, events, expected_version=len(await self.said.history(stream)))

    async def on_gateway_event(self, message: Message[GatewayEvent]) -> None:
        if not isinstance(event := message.event, AgentAppChanged):
            return
        async with self.heard.transaction(cause=message) as tx:
            values = {"app": str(event.agent_app_id), "policy": event.deploy_policy}
            await tx.execute(text("INSERT INTO state.effects (app, policy) VALUES (:app, :policy)"), values)

    @asynccontextmanager
    async def consumer(self) -> AsyncIterator[None]:
        log = EventLog(self.heard.engine, ServiceName.DEPLOYMENTS)  # its process may end; ours goes on
        subscription = Subscription(ServiceName.GATEWAY, self.on_gateway_event)
        settings = service_settings(ServiceSettings, database_url=self.database.url, kafka_servers=self.kafka.servers)
        async with running(
            Service(name=ServiceName.DEPLOYMENTS, settings=settings, log=log, subscriptions=[subscription])
        ):
            yield

    @asynccontextmanager
    async def relay(self) -> AsyncIterator[None]:
        """Inside, everything is relayed; at the end it has been."""
        task = asyncio.create_task(Relay(self.said, TOPIC, self.producer, lease_seconds=1.0).run())
        try:
            yield
            await eventually(self.all_is_sent)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def all_is_sent(self) -> bool:
        return await self.said.relay_backlog_seconds() == 0

    def producer(self) -> Producer:
        producer: Producer = kafka_producer(KafkaSettings(kafka_servers=self.kafka.servers))
        return producer

    async def replay(self, from_position: int = 0) -> int:
        return await replay(self.said, TOPIC, self.producer, from_position=from_position)

    async def effects(self, app: UUID) -> list[int]:
        async with self.heard.reading() as connection:
            asked = text("SELECT policy FROM state.effects WHERE app = :app ORDER BY id")
            return [int(row[0]) for row in await connection.execute(asked, {"app": str(app)})]

    async def have(self, apps: Sequence[UUID], numbers: list[int]) -> bool:
        return [await self.effects(app) for app in apps] == [numbers] * len(apps)

    async def offsets(self) -> int:
        """How many messages the consumer has acknowledged."""
        return sum((await self.kafka.committed("deployments")).values())


@pytest.fixture
async def world(kafka: KafkaServer, database_of: DatabaseOf, event_log_of: EventLogOf) -> World:
    database = await database_of()
    heard = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    async with heard.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE state.effects (id bigserial, app text, policy text)"))
    said = await event_log_of(ServiceName.GATEWAY, database=await database_of())
    return World(kafka, said, heard, database)


async def test_all_topics_deleted_and_replayed_changes_nothing_twice(world: World) -> None:
    apps = [uuid4() for _ in range(5)]
    for app in apps:
        await world.say(app, 1, 2, 3)
    async with world.relay(), world.consumer():
        await eventually(lambda: world.have(apps, [1, 2, 3]))
    await world.kafka.make_topics()
    assert await world.kafka.records(TOPIC) == []
    async with world.consumer():
        assert await world.replay() == 15

        async def all_is_heard() -> bool:
            return await world.offsets() == 15

        await eventually(all_is_heard)
        assert await world.have(apps, [1, 2, 3])


async def test_what_was_lost_with_kafka_comes_even_behind_what_was_said_since(world: World) -> None:
    known, unheard = uuid4(), uuid4()
    await world.say(known, 1, 2)
    async with world.relay(), world.consumer():
        await eventually(lambda: world.have([known], [1, 2]))
    async with world.relay():
        await world.say(known, 3)
        await world.say(unheard, 1)
    await world.kafka.make_topics()  # with what nobody has heard
    async with world.consumer(), world.relay():
        await world.say(known, 4, 5)
        await world.say(unheard, 2)

        async def parked() -> bool:
            async with world.heard.reading() as connection:
                return bool(await connection.scalar(text("SELECT count(*) = 3 FROM log.parked")))

        await eventually(parked)
        assert await world.replay() >= 4
        await eventually(lambda: world.have([known], [1, 2, 3, 4, 5]))
        await eventually(lambda: world.have([unheard], [1, 2]))


async def test_a_new_consumer_hears_everything_and_from_a_position_only_what_follows(world: World) -> None:
    first, second = uuid4(), uuid4()
    async with world.relay():
        await world.say(first, 1, 2)
    async with world.said.reading() as connection:
        position = await connection.scalar(text("SELECT max(position) FROM log.events"))
    async with world.relay():
        await world.say(second, 1)
    await world.kafka.make_topics()
    assert await world.replay(position + 1) == 1
    async with world.consumer():
        await eventually(lambda: world.have([second], [1]))
        assert await world.effects(first) == []
        assert await world.replay() == 3
        await eventually(lambda: world.have([first], [1, 2]))
        assert await world.effects(second) == [1]
    assert await world.replay(position + 1000) == 0


async def test_only_what_the_relay_has_said_is_said_again(world: World) -> None:
    app = uuid4()
    async with world.relay():
        await world.say(app, 1, 2)
    await world.say(app, 3)
    assert await world.replay() == 2
    assert len(await world.kafka.records(TOPIC)) == 4
