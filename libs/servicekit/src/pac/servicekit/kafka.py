"""The one way to subscribe: at least once from Kafka, once in effect; an offset is committed after the effects only.

One consumer per service hears all its topics. FastStream runs the loop; what is acknowledged is decided here, because
each of FastStream's policies loses messages or blocks a partition (measured: see the decisions).
"""

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faststream import AckPolicy
from faststream.kafka import KafkaBroker, KafkaMessage
from faststream.kafka.message import FAKE_CONSUMER

from pac.eventlog import EventLog, Raw
from pac.eventlog.crashpoints import reach
from pac.servicekit.broker import BrokerAway, PolledConsumer, existing_topics, kafka_options, kafka_producer
from pac.servicekit.consuming import Consuming
from pac.servicekit.handling import GivenUp, Handling, Subscription
from pac.servicekit.metrics import Metrics
from pac.servicekit.parked import DeadLetters, ParkedMessages
from pac.servicekit.settings import ServiceSettings
from pac.servicekit.supervision import Reader

if TYPE_CHECKING:
    from pac.servicekit.service import Service

__all__ = ["Consuming", "Subscription", "Subscriptions", "kafka_options", "kafka_producer"]

logger = structlog.get_logger(__name__)
FETCH_WAIT_MILLISECONDS: Final = 500
WATCH_SECONDS: Final = 1.5
LOOK_TIMEOUT_SECONDS: Final = 15.0
START_TIMEOUT_SECONDS: Final = 30.0
INTERRUPT_SECONDS: Final = 1.0
COMMIT_SECONDS: Final = 15.0
RENEW_SECONDS: Final = 10.0
Records = Sequence[Raw]


@dataclass
class Subscriptions:
    """All that one service hears. `start`, `stop`, and readers that belong to it."""

    consumer: str
    settings: ServiceSettings
    log: EventLog
    metrics: Metrics
    consuming: Consuming
    subscriptions: Sequence[Subscription]
    watch_seconds: float = WATCH_SECONDS
    _broker: KafkaBroker | None = None
    _subscriber: Any = None
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.is_lost = False
        self.acknowledged: set[TopicPartition] = set()
        self.topics = [subscription.topic for subscription in self.subscriptions]
        if len(set(self.topics)) != len(self.topics):
            raise ValueError("a topic is subscribed to twice")
        self.parked = ParkedMessages(
            consumer=self.consumer,
            log=self.log,
            dead_letters=DeadLetters(f"{self.consumer}.dead-letters", self.settings, self.metrics),
            retry_seconds=self.settings.retry_interval_seconds,
            retry_limit=self.settings.retry_limit,
        )
        self.handling = Handling(
            consumer=self.consumer,
            log=self.log,
            shelf=self.parked,
            metrics=self.metrics,
            handlers={s.topic: (s.handler, s.adapter()) for s in self.subscriptions},
            wait_seconds=self.settings.consumer_wait_seconds,
            stopping=self._stopping,
        )
        self.parked.retry = self.handling.attempt

    @classmethod
    def of(cls, service: "Service") -> "Subscriptions":
        return cls(
            consumer=service.name.value,
            settings=service.settings,
            log=service.log,
            metrics=service.metrics,
            consuming=service.consuming,
            subscriptions=service.subscriptions,
        )

    @property
    def readers(self) -> Sequence[Reader]:
        return [self.parked, Watch(self)] if self.subscriptions else []

    @property
    def client(self) -> PolledConsumer | None:
        return None if self._subscriber is None else cast("PolledConsumer | None", self._subscriber.consumer)

    async def ask_broker(self) -> None:
        """Raises BrokerAway when Kafka does not answer."""
        if (client := self.client) is None:
            await existing_topics(self.settings)
            return
        try:
            await client.ask()
        except KafkaError as away:
            raise BrokerAway(f"Kafka does not answer ({type(away).__name__})") from away

    async def start(self) -> None:
        """Subscribes. Raises OSError when the broker or a topic is not there yet; may be called again."""
        if not self.subscriptions:
            return
        if missing := sorted(set(self.topics) - await existing_topics(self.settings)):
            raise BrokerAway(f"no topic {', '.join(missing)} yet: run `pac topics apply`")
        broker = KafkaBroker(
            self.settings.kafka_servers.split(","),
            consumer_only=True,
            allow_auto_create_topics=False,
            apply_types=False,
            graceful_timeout=self.settings.consumer_wait_seconds,
            logger=None,
        )
        self._subscriber = broker.subscriber(
            *self.topics,
            batch=True,
            group_id=self.consumer,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.MANUAL,
            fetch_max_wait_ms=FETCH_WAIT_MILLISECONDS,
            max_records=self.settings.consumer_batch_size,
            session_timeout_ms=6_000,  # so long a group waits for a member that is gone: after each loss of the broker
            heartbeat_interval_ms=2_000,
            parser=_unparsed,
            decoder=_undecoded,
        )
        self._subscriber(self._consume)
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                await broker.connect()
                # FastStream has no setting for the consumer's class.
                broker.config.broker_config.builder = partial(
                    PolledConsumer,
                    polled=self.consuming.polled,
                    **kafka_options(self.settings),
                )
                await broker.start()
        except (KafkaError, OSError) as away:
            await self._close(broker)
            raise BrokerAway(f"could not subscribe ({type(away).__name__})") from away
        except asyncio.CancelledError:
            await self._interrupt(self.client, list(self._subscriber.tasks))
            raise
        self._broker = broker
        self.consuming.subscribed = True
        logger.info("subscribed", topics=self.topics)

    async def stop(self, *, timeout_seconds: float) -> None:
        """Polls no more, lets what runs come to its end, commits, leaves the group; all within the time given."""
        self._stopping.set()
        broker, self._broker = self._broker, None
        if broker is None:
            return
        client, tasks = self.client, list(self._subscriber.tasks)
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._close(broker)
        except TimeoutError:
            # Nothing of it is committed, so another reads it again; the inbox knows what was done.
            logger.warning("consumer_interrupted")
            await self._interrupt(client, tasks)
        self.consuming.stopped()

    async def renew(self) -> None:
        """Leaves with a client that is of no use any more, and subscribes with a new one. Raises BrokerAway."""
        self.is_lost = True  # until a new one has subscribed, which may take several tries
        broker, self._broker = self._broker, None
        client, tasks = self.client, [] if self._subscriber is None else list(self._subscriber.tasks)
        self.consuming.stopped()
        if broker is not None:
            try:
                async with asyncio.timeout(RENEW_SECONDS):
                    await self._close(broker)
            except TimeoutError:
                await self._interrupt(client, tasks)
        if not self._stopping.is_set():
            await self.start()
            self.is_lost = False

    async def _interrupt(self, client: PolledConsumer | None, tasks: Sequence["asyncio.Task[Any]"]) -> None:
        self._subscriber = None
        for task in tasks:
            task.cancel()
        with contextlib.suppress(TimeoutError, KafkaError):
            async with asyncio.timeout(INTERRUPT_SECONDS):
                await asyncio.gather(*tasks, return_exceptions=True)
                if client is not None:
                    await client.stop()

    async def _close(self, broker: KafkaBroker) -> None:
        with contextlib.suppress(KafkaError):
            await broker.stop()
        self._subscriber = None

    # ---- a batch ----------------------------------------------------------------------------------------------------

    async def _consume(self, found: Any) -> None:  # Any: FastDepends makes a model of the annotation
        records = [
            Raw(one.topic, one.partition, one.offset, one.key or b"", one.value or b"", one.headers) for one in found
        ]
        undone = await self._handle(records)
        if (client := self.client) is not None:
            await self._acknowledge(client, records, undone)

    async def _handle(self, records: Records) -> Records:
        """Keys side by side, each key's records in order. Returns the records that must be read again."""
        try:
            await self.handling.look(records)
        except GivenUp:
            return records
        except Exception:
            # FastStream would swallow it and poll on; a later commit would then step over these records.
            logger.exception("consumer_failed")
            await asyncio.sleep(1.0)
            return records
        by_key: dict[str, list[Raw]] = defaultdict(list)
        for record in records:
            by_key[record.subject].append(record)
        places = asyncio.Semaphore(self.settings.consumer_parallel_keys)

        async def one_key(mine: list[Raw]) -> list[Raw]:
            async with places:
                for done, record in enumerate(mine):
                    if self._stopping.is_set() or self.handling.is_out_of_time:
                        return mine[done:]
                    try:
                        await self.handling.take(record)
                    except GivenUp:
                        return mine[done:]
                    except Exception:
                        logger.exception("consumer_failed", topic=record.topic, offset=record.offset)
                        await asyncio.sleep(1.0)
                        return mine[done:]
            return []

        undone = [*await asyncio.gather(*(one_key(mine) for mine in by_key.values())), await self._settled(records)]
        return [record for rest in undone for record in rest]

    async def _settled(self, records: Records) -> Records:
        try:
            return await self.handling.settle()
        except Exception:
            logger.exception("consumer_failed")
            await asyncio.sleep(1.0)
            return records

    async def _acknowledge(self, client: PolledConsumer, records: Records, undone: Records) -> None:
        """Commits what lies before the first undone record of each partition, and goes back to that one."""
        after: dict[TopicPartition, int] = {}
        for record in records:
            place = TopicPartition(record.topic, record.partition)
            after[place] = max(after.get(place, 0), record.offset + 1)
        back: dict[TopicPartition, int] = {}
        for record in undone:
            place = TopicPartition(record.topic, record.partition)
            back[place] = min(back.get(place, record.offset), record.offset)
        for place, offset in back.items():
            # Lost to another replica meanwhile: it reads from the last commit, we have nothing to go back to.
            with contextlib.suppress(KafkaError):
                client.seek(place, offset)
        self.acknowledged.update(after)
        mine = client.assignment()
        offsets = {place: offset for place, offset in (after | back).items() if place in mine}
        if not offsets:
            return
        try:
            reach("offsets.before_commit")
            async with asyncio.timeout(COMMIT_SECONDS):
                await client.commit(offsets)
            reach("offsets.after_commit")
        except (KafkaError, TimeoutError) as fault:
            # The inbox is what counts; the records are read again and found to be old.
            logger.info("offsets_not_committed", error=type(fault).__name__)


async def _unparsed(records: Any) -> KafkaMessage:
    """Records stay as they are: FastStream's parser dies of a header that is not UTF-8, and blocks the partition."""
    return KafkaMessage(body=b"", raw_message=records, consumer=FAKE_CONSUMER)


async def _undecoded(message: KafkaMessage) -> Any:
    return message.raw_message


@dataclass(frozen=True)
class Watch:
    """Keeps an eye on the group's lag, for the figures and for `caught_up`; commits first offsets where none are.

    A client that has died is replaced: it would fail at every poll, for ever.
    """

    of: Subscriptions
    name: str = "consumer-watch"

    async def run(self) -> None:
        while True:
            client = self.of.client
            died = client.died_of() if client is not None else None
            if died is not None:
                logger.error("consumer_died", error=repr(died))
            if died is not None or self.of.is_lost:
                await self.of.renew()
            elif client is not None and self.of.consuming.subscribed:
                try:
                    async with asyncio.timeout(LOOK_TIMEOUT_SECONDS):
                        await self._look(client)
                except KafkaError as away:
                    raise BrokerAway(f"Kafka does not answer ({type(away).__name__})") from away
            await asyncio.sleep(self.of.watch_seconds)

    async def _look(self, client: PolledConsumer) -> None:
        places = [
            TopicPartition(topic, number)
            for topic in self.of.topics
            for number in sorted(client.partitions_for_topic(topic) or ())
        ]
        if not places:
            return
        ours_before = client.assignment()
        committed = await client.committed_offsets(places)
        ends = await client.end_offsets(places)
        fresh = [place for place in places if committed[place] is None]
        if fresh:
            first = await client.beginning_offsets(fresh)
            # What was acknowledged while we asked, here or where the partition came from, must not be taken back.
            ours = (ours_before & client.assignment()) - self.of.acknowledged
            mine = {place: first[place] for place in fresh if place in ours}
            if mine:
                await client.commit(mine)  # scalers by lag see nothing of a group without offsets
            committed |= first
        lag = self.of.consuming.looked(
            {(place.topic, place.partition): ends[place] for place in places},
            {(place.topic, place.partition): committed[place] or 0 for place in places},
        )
        for (topic, number), behind in lag.items():
            self.of.metrics.consumer_lag.labels(topic, str(number)).set(behind)
