"""Messages set aside: kept in order per subject, tried again, and copied to the dead letters when that is in vain."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import structlog
from aiokafka.errors import KafkaError

from pac.eventlog import EventLog
from pac.servicekit.broker import BrokerAway, kafka_producer
from pac.servicekit.handling import Aside, Record
from pac.servicekit.metrics import Metrics
from pac.servicekit.settings import KafkaSettings
from pac.servicekit.shelf import ParkedRecord, ParkedTable

logger = structlog.get_logger(__name__)
BATCH: Final = 100
LEASE_SECONDS: Final = 60.0
LONGEST_PAUSE_SECONDS: Final = 300.0
EARLY_PAUSE_SECONDS: Final = 5.0
EARLY_ALARM_ATTEMPTS: Final = 60
CALM_SECONDS: Final = 0.1


@dataclass(frozen=True)
class DeadLetters:
    """Copies for people to look at; the message itself stays parked and holds its subject until replay or drop."""

    topic: str
    settings: KafkaSettings

    async def send(self, row: ParkedRecord, reason: str) -> None:
        """Raises BrokerAway. Rare, so a producer is made each time."""
        headers = [(name, text.encode()) for name, text in row.headers.items()]
        origin = f"{row.topic}/{row.partition}/{row.offset}"
        headers += [("pac_reason", reason.encode()), ("pac_origin", origin.encode())]
        producer = kafka_producer(self.settings)
        try:
            await producer.start()
            await producer.send_and_wait(self.topic, row.value, key=row.key, headers=headers)
        except KafkaError as away:
            raise BrokerAway(f"the dead letters could not be written ({type(away).__name__})") from away
        finally:
            await producer.stop()


@dataclass
class ParkedMessages:
    """The shelf of one consumer, and the reader that tries again what lies on it."""

    consumer: str
    log: EventLog
    metrics: Metrics
    dead_letters: DeadLetters
    interval_seconds: float = 1.0
    limit: int = 8
    attempt: Callable[[Record], Awaitable[Aside | None]] | None = None
    name: str = "parked-messages"
    # How many lie here, as far as this process knows; None before it has looked. None at all: no question per message.
    _parked: int | None = None
    _puts: int = 0
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.table = ParkedTable(self.log, self.consumer)

    async def holds(self, subject: str, topic: str) -> bool:
        """Must a message wait behind others? What another replica parks is seen within the interval; a message that
        slips through meanwhile meets the gap in its stream's inbox, and is parked as too early.
        """
        return self._parked != 0 and await self.table.holds(subject, topic)

    async def put(self, record: Record, subject: str, aside: Aside) -> None:
        self._parked = (self._parked or 0) + 1
        self._puts += 1
        await self.table.put(record, subject, aside.reason, early=aside.early, seconds=self.interval_seconds)

    def heard(self, subject: str) -> None:  # noqa: ARG002 - what is waited for may have another key: all early ones are tried
        if self._parked:
            self._news.set()

    async def run(self) -> None:
        eager = True
        while True:
            tried = await self._round(eager=eager)
            puts = self._puts
            parked = await self.table.count()
            if puts == self._puts:  # else the figure may be older than what was put meanwhile
                self._parked = parked
            self.metrics.parked.set(parked)
            if tried:
                self._news.set()  # what lay behind may be next
            eager = await self._wait()

    async def _wait(self) -> bool:
        """True when there was news."""
        try:
            async with asyncio.timeout(self.interval_seconds):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        await asyncio.sleep(CALM_SECONDS)
        return True

    async def _round(self, *, eager: bool) -> int:
        """Tries what is due, heads only; returns how many are off the shelf."""
        rows = await self.table.take(eager=eager, limit=BATCH, lease_seconds=LEASE_SECONDS)
        done = 0
        for place, row in enumerate(rows):
            try:
                done += await self._try(row)
            except OSError:
                for late in rows[place:]:
                    with contextlib.suppress(OSError):
                        await self.table.again(late, "interrupted", early=late.early, attempts=late.attempts, seconds=0)
                raise
        return done

    async def _try(self, row: ParkedRecord) -> bool:
        assert self.attempt is not None
        aside = await self.attempt(row)
        if aside is None:
            await self.table.delete(row)
            self.metrics.consumed.labels(row.topic, "placed").inc()
            logger.info("parked_message_placed", topic=row.topic, attempts=row.attempts + 1)
            return True
        attempts = row.attempts + 1
        if aside.early:
            if attempts % EARLY_ALARM_ATTEMPTS == 0:
                logger.error("message_early_for_long", topic=row.topic, subject=row.subject, attempts=attempts)
            pause = min(self.interval_seconds * (1 + row.attempts // 10), EARLY_PAUSE_SECONDS)
            await self.table.again(row, aside.reason, early=True, attempts=attempts, seconds=pause)
        elif attempts >= self.limit:
            await self.dead_letters.send(row, aside.reason)
            await self.table.dead(row, aside.reason)
            self.metrics.dead_letters.inc()
            logger.error("message_dead", topic=row.topic, subject=row.subject, reason=aside.reason)
        else:
            pause = min(self.interval_seconds * 2**row.attempts, LONGEST_PAUSE_SECONDS)
            await self.table.again(row, aside.reason, early=False, attempts=attempts, seconds=pause)
        return False
