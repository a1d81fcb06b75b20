"""How this process reaches Kafka: who it says it is, over what; and the consumer it polls with."""

import asyncio
import ssl
from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from pac.servicekit.settings import KafkaSettings

POLL_MILLISECONDS = 5_000
REQUEST_TIMEOUT_MILLISECONDS = 10_000
METADATA_AGE_MILLISECONDS = 30_000


class BrokerAway(ConnectionError):  # noqa: N818 - says what is the matter, like LogUnavailable
    """Kafka does not answer, or not yet as we need it."""


def kafka_options(settings: KafkaSettings) -> dict[str, Any]:
    """What every aiokafka client of this process is given: consumers, producers and the relay alike."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_servers.split(","),
        "request_timeout_ms": REQUEST_TIMEOUT_MILLISECONDS,
        "metadata_max_age_ms": METADATA_AGE_MILLISECONDS,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_ca_file)
        if settings.kafka_ssl_certificate_file is not None:
            context.load_cert_chain(settings.kafka_ssl_certificate_file, settings.kafka_ssl_key_file)
        options["ssl_context"] = context
    if settings.kafka_security_protocol.startswith("SASL"):
        password = settings.kafka_sasl_password
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": password.get_secret_value() if password is not None else None,
        }
    return options


def kafka_producer(settings: KafkaSettings) -> Any:
    """A producer that loses and doubles nothing, for relay and dead letters; not started yet."""
    return AIOKafkaProducer(**kafka_options(settings), enable_idempotence=True, acks="all", linger_ms=0)


class PolledConsumer(AIOKafkaConsumer):  # type: ignore[misc] # aiokafka ships no types
    """Waits for messages inside one poll, and tells when it polled.

    FastStream sleeps after each empty poll, which costs either latency or an idle processor.
    """

    def __init__(self, *topics: str, polled: Callable[[], None], **options: Any) -> None:
        super().__init__(*topics, **options)
        self._polled = polled

    async def getmany(
        self,
        *partitions: TopicPartition,
        timeout_ms: int = 0,  # noqa: ARG002 - ours is longer, and data ends the wait at once
        max_records: int | None = None,
    ) -> dict[TopicPartition, list[Any]]:
        while True:
            self._polled()
            found: dict[TopicPartition, list[Any]] = await super().getmany(
                *partitions, timeout_ms=POLL_MILLISECONDS, max_records=max_records
            )
            if found:
                return found

    async def committed_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int | None]:
        """Of the whole group, in one question; None where nothing was committed."""
        found = await self._coordinator.fetch_committed_offsets(partitions)
        return {tp: found[tp].offset if tp in found and found[tp].offset >= 0 else None for tp in partitions}

    def died_of(self) -> BaseException | None:
        """What ended aiokafka's own task of group membership: it never joins again, and every poll fails from then on.

        Seen while a broker was killed again and again. An error of Kafka's it survives; of any other it dies.
        """
        task: asyncio.Task[None] | None = getattr(self._coordinator, "_coordination_task", None)
        if task is None or not task.done() or task.cancelled():
            return None
        died = task.exception()
        return None if died is None else died.__cause__ or died

    async def ask(self) -> None:
        await self._client.fetch_all_metadata()


async def existing_topics(settings: KafkaSettings) -> set[str]:
    """The broker's topics of which every partition has a leader. Raises BrokerAway.

    Who subscribes to one that is just being made gets no partitions, and learns better only with the next metadata.
    """
    client = AIOKafkaClient(**kafka_options(settings))
    try:
        await client.bootstrap()
        cluster = await client.fetch_all_metadata()
        return {
            topic
            for topic in cluster.topics()
            if (partitions := cluster.partitions_for_topic(topic))
            and partitions == cluster.available_partitions_for_topic(topic)
        }
    except KafkaError as away:
        raise BrokerAway(f"Kafka does not answer ({type(away).__name__})") from away
    finally:
        await client.close()
