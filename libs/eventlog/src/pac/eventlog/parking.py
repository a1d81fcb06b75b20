"""Messages set aside with their subject: held in order, tried again, never lost.

For the one wrapper that subscribes to Kafka (servicekit); a subject is the Kafka key.

    parking = Parking(log, consumer="packages", publish=to_dead_letters)
    held = await parking.held(subjects)             # one question per batch; add a subject yourself once you parked it
    await parking.park(raw, reason, early=False)    # own transaction; a repeat of (topic, partition, offset) is a no-op
    await parking.park(raw, reason, early=True, tx=tx)
    await parking.heard(subject)                    # after every message that was handled: tries early ones at once
    await parking.run(handle)                       # the retries, for ever; a fresh message goes to the same `handle`

`handle` opens its own `log.transaction(cause=message)`, hence the inbox row and the effect are one; AlreadySeen counts
as success, and the parked row is deleted right after. TooEarly: tried again often, without limit, with an alarm past
one. OSError: an outage, tried again without counting. Anything else: backoff, and past `attempts_limit` once to
`publish`; its subject stays held until `replay` or `drop`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from pac.contracts.base import one_line
from pac.eventlog.engine import driver_of
from pac.eventlog.log import EventLog
from pac.eventlog.metrics import PARKED
from pac.eventlog.transaction import Transaction
from pac.eventlog.types import AlreadySeen, LogUnavailable, Message, TooEarly

logger = structlog.get_logger(__name__)

PARK = """
INSERT INTO log.parked (consumer, subject, topic, partition, "offset", key, value, headers, reason, early, due_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp() + %s * interval '1 second')
ON CONFLICT ON CONSTRAINT parked_once DO NOTHING
"""
HELD = "SELECT DISTINCT subject FROM log.parked WHERE consumer = %s AND subject = ANY(%s)"
COLUMNS = """
id, subject, topic, partition, "offset", key, value, headers::text, reason, early, attempts, parked_at, dead_at
"""
# Only the oldest of a subject is ever taken: that is what keeps the order. Its `due_at` doubles as a lease.
TAKE = f"""
UPDATE log.parked SET due_at = clock_timestamp() + %(lease)s * interval '1 second'
WHERE id = (
    SELECT head.id FROM log.parked AS head
    WHERE head.consumer = %(consumer)s AND head.due_at <= clock_timestamp() AND NOT EXISTS (
        SELECT FROM log.parked AS older
        WHERE older.consumer = head.consumer AND older.subject = head.subject AND older.id < head.id)
    ORDER BY head.due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}
"""  # noqa: S608 - constants only
LIST = f"SELECT {COLUMNS} FROM log.parked WHERE consumer = %s ORDER BY id LIMIT %s"  # noqa: S608 - constants only
RETRY = """
UPDATE log.parked SET due_at = CASE WHEN %s THEN 'infinity' ELSE clock_timestamp() + %s * interval '1 second' END,
    attempts = %s, early = %s, reason = %s, dead_at = CASE WHEN %s THEN clock_timestamp() END WHERE id = %s
"""
DELETE = "DELETE FROM log.parked WHERE id = %s AND consumer = %s"
HEARD = """
UPDATE log.parked SET due_at = clock_timestamp()
WHERE consumer = %s AND subject = %s AND early AND due_at > clock_timestamp() AND due_at < 'infinity'
"""
REPLAY = """
UPDATE log.parked SET due_at = clock_timestamp(), attempts = 0, dead_at = NULL WHERE consumer = %s AND id = %s
"""
COUNT = "SELECT subject, early, count(*) FROM log.parked WHERE consumer = %s GROUP BY subject, early"


@dataclass(frozen=True)
class Raw:
    """A Kafka message as it came."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: Sequence[tuple[str, bytes]]

    @property
    def subject(self) -> str:
        return self.key.decode(errors="replace").replace("\x00", "")


@dataclass(frozen=True)
class Parked:
    """A message set aside. `dead_at`: when its copy went to the dead letters."""

    id: int
    subject: str
    raw: Raw
    reason: str
    early: bool
    attempts: int
    parked_at: datetime
    dead_at: datetime | None

    @property
    def seconds_parked(self) -> float:
        return (datetime.now(UTC) - self.parked_at).total_seconds()


@dataclass(frozen=True)
class Patience:
    """Seconds, and how often."""

    early_shortest: float = 0.05
    early_longest: float = 2.0
    early_alarm: float = 300.0
    shortest: float = 0.5
    longest: float = 60.0
    attempts_limit: int = 8
    outage: float = 1.0
    poll: float = 0.25
    count: float = 2.0
    lease: float = 60.0


Handle = Callable[[Raw], Awaitable[None]]
Publish = Callable[[Raw, str], Awaitable[None]]


async def _nowhere(raw: Raw, reason: str) -> None:
    """Dead letters stay in the table only."""


class Parking:
    """What one consumer has set aside."""

    def __init__(
        self, log: EventLog, consumer: str, *, publish: Publish = _nowhere, patience: Patience | None = None
    ) -> None:
        self._log = log
        self._consumer = consumer
        self._publish = publish
        self._patience = patience or Patience()
        self._due = asyncio.Event()
        self._maybe_held: set[str] = set()

    # ---- for the wrapper ---------------------------------------------------------------------------------------

    async def park(self, raw: Raw, reason: str, *, early: bool, tx: Transaction | None = None) -> None:
        """Behind whatever is parked of its subject. Safe to repeat."""
        headers = orjson.dumps([[name, value.decode("latin-1")] for name, value in raw.headers]).decode()
        place = (self._consumer, raw.subject, raw.topic, raw.partition, raw.offset)
        wait = self._patience.early_shortest if early else self._patience.shortest
        row = (*place, raw.key, raw.value, headers, one_line(reason), early, wait)
        if tx is not None:
            await (await driver_of(tx.connection)).execute(PARK, row)
            tx.after_commit.append(self._due.set)
        else:
            await self._run(PARK, row)
            self._due.set()
        self._maybe_held.add(raw.subject)
        logger.warning("message_parked", consumer=self._consumer, subject=raw.subject, topic=raw.topic, early=early)

    async def held(self, subjects: Iterable[str]) -> set[str]:
        """Which of these have something parked: their messages have to be parked behind it."""
        return {subject for (subject,) in await self._run(HELD, (self._consumer, list(set(subjects))))}

    async def is_parked(self, subject: str) -> bool:
        return bool(await self.held([subject]))

    async def heard(self, subject: str) -> None:
        """News of this subject was handled: what was too early may be in time now."""
        if subject in self._maybe_held:
            await self._run(HEARD, (self._consumer, subject))
            self._due.set()

    async def run(self, handle: Handle) -> None:
        """Tries again what is due, for ever; waits out outages of Postgres."""
        loop = asyncio.get_running_loop()
        counted = -self._patience.count
        while True:
            self._due.clear()
            try:
                while await self.step(handle):
                    pass
                if loop.time() > counted + self._patience.count:
                    counted = loop.time()
                    await self._count()
            except LogUnavailable as outage:
                logger.warning("parking_waits_for_postgres", consumer=self._consumer, reason=str(outage))
                await asyncio.sleep(self._patience.outage)
            try:
                async with asyncio.timeout(self._patience.poll):
                    await self._due.wait()
            except TimeoutError:
                pass

    async def step(self, handle: Handle) -> bool:
        """Tries one message, the oldest of a due subject; False if none was due."""
        taken = await self._run(TAKE, {"consumer": self._consumer, "lease": self._patience.lease})
        if not taken:
            return False
        await self._try(_parked(taken[0]), handle)
        return True

    # ---- for operators (pac dlq) -------------------------------------------------------------------------------

    async def list(self, limit: int = 1000) -> "list[Parked]":
        return [_parked(row) for row in await self._run(LIST, (self._consumer, limit))]

    async def replay(self, parked_id: int) -> None:
        """Tries it again now, with all attempts before it."""
        await self._run(REPLAY, (self._consumer, parked_id))
        self._due.set()

    async def drop(self, parked_id: int, message: Message[Any]) -> None:
        """Gives it up: moves the inbox over it in the same transaction, so that what follows is no gap."""
        try:
            async with self._log.transaction(cause=message) as tx:
                await (await driver_of(tx.connection)).execute(DELETE, (parked_id, self._consumer))
        except AlreadySeen:
            await self._run(DELETE, (parked_id, self._consumer))

    # ---- inside ------------------------------------------------------------------------------------------------

    async def _try(self, parked: Parked, handle: Handle) -> None:
        patience, told = self._patience, {"consumer": self._consumer, "subject": parked.subject, "id": parked.id}
        try:
            async with asyncio.timeout(patience.lease / 2):
                await handle(parked.raw)
        except AlreadySeen:
            pass
        except TooEarly as reason:
            if parked.seconds_parked > patience.early_alarm:
                seconds = int(parked.seconds_parked)
                logger.error("parked_too_long", **told, seconds=seconds, reason=one_line(str(reason)))  # noqa: TRY400
            wait = min(patience.early_shortest * 2 ** min(parked.attempts, 20), patience.early_longest)
            await self._again(replace(parked, early=True, attempts=parked.attempts + 1), wait, str(reason))
            return
        except OSError as outage:
            logger.warning("parked_message_waits", **told, reason=one_line(repr(outage)))
            await self._again(parked, patience.outage, repr(outage))
            return
        except Exception as error:
            logger.exception("parked_message_failed", **told, attempts=parked.attempts + 1)
            await self._failed(replace(parked, early=False, attempts=parked.attempts + 1), type(error).__name__)
            return
        await self._run(DELETE, (parked.id, self._consumer))
        logger.info("parked_message_handled", **told)

    async def _failed(self, parked: Parked, reason: str) -> None:
        if parked.attempts < self._patience.attempts_limit:
            wait = min(self._patience.shortest * 2 ** min(parked.attempts, 20), self._patience.longest)
            await self._again(parked, wait, reason)
            return
        await self._publish(parked.raw, reason)
        logger.error("message_given_up", consumer=self._consumer, subject=parked.subject, id=parked.id, reason=reason)
        await self._again(parked, 0, reason, dead=True)

    async def _again(self, parked: Parked, seconds: float, reason: str, *, dead: bool = False) -> None:
        await self._run(RETRY, (dead, seconds, parked.attempts, parked.early, one_line(reason), dead, parked.id))

    async def _count(self) -> None:
        rows = await self._run(COUNT, (self._consumer,))
        for wanted in (True, False):
            count = sum(number for _, early, number in rows if early is wanted)
            PARKED.labels(self._consumer, str(wanted).lower()).set(count)
        self._maybe_held = {subject for subject, _, _ in rows}

    async def _run(self, statement: str, parameters: Any) -> "Sequence[tuple[Any, ...]]":
        async with self._log.reading() as connection:
            cursor = await (await driver_of(connection)).execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []


def _parked(row: tuple[Any, ...]) -> Parked:
    id_, subject, topic, partition, offset, key, value, headers, reason, early, attempts, parked_at, dead_at = row
    pairs = [(name, text.encode("latin-1")) for name, text in orjson.loads(headers)]
    raw = Raw(topic, partition, offset, bytes(key), bytes(value), pairs)
    return Parked(id_, subject, raw, reason, early, attempts, parked_at, dead_at)
