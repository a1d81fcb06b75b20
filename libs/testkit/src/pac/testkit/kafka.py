"""One real Kafka for a test run; the services' topics made anew for each test that asks for them."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from pac.cli.local.stack import LocalStack
from pac.contracts.base import Event
from pac.contracts.envelope import Envelope, to_kafka
from pac.contracts.topics import ServiceName
from pac.testkit.eventually import eventually

PARTITIONS = 3
GONE_SECONDS = 20.0
BACK_SECONDS = 40.0


async def crash(stack: LocalStack, name: str) -> None:
    """SIGKILL to a process of the stack; returns when its successor is ready."""

    def pid() -> int | None:
        return next((one.pid for one in stack.supervisor.status() if one.name == name and one.ready), None)

    before = pid()
    stack.supervisor.kill(name)
    async with asyncio.timeout(BACK_SECONDS):
        while pid() in {before, None}:  # noqa: ASYNC110 - the supervisor has no event for it
            await asyncio.sleep(0.02)


@asynccontextmanager
async def admin_of(servers: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def records_of(servers: str, topic: str) -> list[Any]:
    """Everything in a topic at this moment (aiokafka's ConsumerRecord), also if it was made just now."""
    async with admin_of(servers) as admin:

        async def partitions() -> list[Any]:
            [described] = await admin.describe_topics([topic])
            return list(described["partitions"])

        places = [TopicPartition(topic, part["partition"]) for part in await eventually(partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=servers, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign(places)
        ends = await consumer.end_offsets(places)
        found: list[Any] = []
        while any([await consumer.position(place) < ends[place] for place in places]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found.extend(records)
        return found
    finally:
        await consumer.stop()


@dataclass(frozen=True)
class KafkaServer:
    """The broker of this test run. `crash` and `restart` for tests of outages; data and port stay."""

    stack: LocalStack

    @property
    def servers(self) -> str:
        return self.stack.kafka_servers

    async def make_topics(self, *, partitions: int = PARTITIONS) -> None:
        """All topics of the services, empty; the groups' offsets in them are gone as well."""
        names = [name for service in ServiceName for name in (service.topic, service.dead_letters)]
        async with admin_of(self.servers) as admin:
            if old := sorted(set(names) & set(await admin.list_topics())):
                await admin.delete_topics(old)
                async with asyncio.timeout(GONE_SECONDS):
                    while set(names) & set(await admin.list_topics()):  # noqa: ASYNC110 - a broker tells nobody
                        await asyncio.sleep(0.02)
            await admin.create_topics([NewTopic(name, partitions, 1) for name in names])

    async def publish(self, *envelopes: Envelope[Any]) -> None:
        """As the relay does: to the topic of each envelope's source, in order."""
        messages = [(ServiceName(envelope.source).topic, *to_kafka(envelope)) for envelope in envelopes]
        await self.publish_raw(*messages)

    async def publish_raw(self, *messages: tuple[str, bytes | None, bytes | None, Sequence[tuple[str, bytes]]]) -> None:
        """(topic, key, value, headers) as they are, good or bad."""
        async with self.producer() as producer:
            sent = [
                await producer.send(topic, value, key=key, headers=list(headers))
                for topic, key, value, headers in messages
            ]
            await asyncio.gather(*sent)

    async def records(self, topic: str) -> list[Any]:
        return await records_of(self.servers, topic)

    async def committed(self, group: str) -> dict[tuple[str, int], int]:
        async with admin_of(self.servers) as admin:
            offsets = await admin.list_consumer_group_offsets(group)
        return {(place.topic, place.partition): found.offset for place, found in offsets.items()}

    async def restart(self) -> None:
        await self.stack.supervisor.restart("kafka")

    async def crash(self) -> None:
        await crash(self.stack, "kafka")

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[Any]:
        producer = AIOKafkaProducer(bootstrap_servers=self.servers, enable_idempotence=True, acks="all")
        await producer.start()
        try:
            yield producer
        finally:
            await producer.stop()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kafka_server() -> AsyncIterator[KafkaServer]:
    folder = Path(tempfile.mkdtemp(prefix="pac-kafka-"))
    try:
        async with LocalStack(folder, postgres=False, s3=False) as stack:
            yield KafkaServer(stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest_asyncio.fixture(loop_scope="session")
async def kafka(kafka_server: KafkaServer) -> KafkaServer:
    """The broker with the services' topics, empty."""
    await kafka_server.make_topics()
    return kafka_server


class Stream:
    """Makes envelopes of one stream, versions counted, for tests that publish in another service's name."""

    def __init__(self, source: ServiceName, stream: str) -> None:
        self.source, self.stream, self.version = source, stream, 0

    def say(self, event: Event) -> Envelope[Event]:
        self.version += 1
        return Envelope(uuid4(), self.source.value, self.stream, self.version, event, "key-test", uuid4())
