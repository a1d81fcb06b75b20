"""What this consumer has set aside: who must wait behind it, and the dead letters that a hopeless one ends in."""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiokafka.errors import KafkaError
from sqlalchemy import text

from pac.eventlog import EventLog, Parking, Patience, Raw
from pac.eventlog.producers import start, stop
from pac.servicekit.broker import BrokerAway, kafka_producer
from pac.servicekit.metrics import Metrics
from pac.servicekit.settings import KafkaSettings

logger = structlog.get_logger(__name__)
EARLY_LONGEST_SECONDS: Final = 2.0
HELD = text("""
SELECT DISTINCT subject, topic, early FROM log.parked WHERE consumer = :consumer AND subject = ANY(:subjects)
""")
Handle = Callable[[Raw], Awaitable[None]]


@dataclass
class DeadLetters:
    """Copies for people to look at; the message itself stays parked and holds its subject until replay or drop."""

    topic: str
    settings: KafkaSettings
    metrics: Metrics
    _producer: Any = None

    async def send(self, raw: Raw, reason: str) -> None:
        """Raises BrokerAway."""
        origin = f"{raw.topic}/{raw.partition}/{raw.offset}"
        headers = [*raw.headers, ("pac_reason", reason.encode()), ("pac_origin", origin.encode())]
        try:
            if self._producer is None:
                self._producer = kafka_producer(self.settings)
                await start(self._producer)
            await self._producer.send_and_wait(self.topic, raw.value, key=raw.key, headers=headers)
        except KafkaError as away:
            await self.close()
            raise BrokerAway(f"the dead letters could not be written ({type(away).__name__})") from away
        except BaseException:
            await self.close()
            raise
        self.metrics.dead_letters.inc()

    async def close(self) -> None:
        """The next one is written by a new producer: they are rare, but come in crowds."""
        producer, self._producer = self._producer, None
        if producer is not None:
            await stop(producer)


@dataclass
class ParkedMessages:
    """The shelf of one consumer, and the reader that tries again what lies on it.

    A broken message holds back everything of its key. One that is too early holds back only what came on its own topic:
    what it waits for may come on another one with the same key, and across topics there is no order to keep.
    """

    consumer: str
    log: EventLog
    dead_letters: DeadLetters
    retry_seconds: float = 1.0
    retry_limit: int = 8
    retry: Handle | None = None
    name: str = "parked-messages"
    _held: set[tuple[str, str, bool]] = field(default_factory=set)

    def __post_init__(self) -> None:
        patience = Patience(
            shortest=self.retry_seconds,
            early_shortest=min(0.1, self.retry_seconds),
            early_longest=EARLY_LONGEST_SECONDS,
            attempts_limit=self.retry_limit,
        )
        self.parking = Parking(self.log, self.consumer, publish=self.dead_letters.send, patience=patience)

    async def look(self, subjects: Iterable[str]) -> None:
        """One question for a whole batch. What is placed meanwhile is noticed at the next one."""
        async with self.log.reading() as connection:
            rows = await connection.execute(HELD, {"consumer": self.consumer, "subjects": list(set(subjects))})
            self._held = {(subject, topic, early) for subject, topic, early in rows}

    def holds(self, subject: str, topic: str) -> bool:
        """Must a message wait behind others?"""
        return any(held == subject and (on == topic or not early) for held, on, early in self._held)

    async def put(self, raw: Raw, reason: str, *, early: bool) -> None:
        await self.parking.park(raw, reason, early=early)
        self._held.add((raw.subject, raw.topic, early))

    async def heard(self, subject: str) -> None:
        await self.parking.heard(subject)

    async def run(self) -> None:
        assert self.retry is not None
        try:
            await self.parking.run(self.retry)
        finally:
            await self.dead_letters.close()
