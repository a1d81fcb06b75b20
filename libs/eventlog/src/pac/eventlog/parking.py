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
one. OSError: an outage, tried again without counting. Anything else: backoff, and past `attempts_limit` to
`publish`, again if that is away; its subject stays held until `replay` or `drop`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import structlog

from pac.contracts.base import one_line
from pac.eventlog.crashpoints import reach
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


def _header(row: str, name: str) -> str:
    found = f"SELECT pair->>1 FROM jsonb_array_elements({row}.headers) AS pair WHERE pair->>0 = '{name}' LIMIT 1"  # noqa: S608 - constants only
    return f"({found})"


def _version(row: str) -> str:
    told = _header(row, "ce_sequence")
    return f"CASE WHEN {told} ~ '^[0-9]{{1,9}}$' THEN {told}::int END"


# A broken message holds back its subject. An early one holds back only its topic, since it may wait for what is parked
# of another; and not what comes before it in its own stream: after a replay that may lie behind it.
HOLDS_BACK = f"""
older.consumer = head.consumer AND older.subject = head.subject AND older.id < head.id
AND CASE WHEN NOT older.early THEN true WHEN older.topic <> head.topic THEN false
    ELSE ({_header("older", "ce_subject")} = {_header("head", "ce_subject")}
        AND {_version("head")} < {_version("older")}) IS NOT TRUE END
"""
# Only what nothing holds back is ever taken: that is what keeps the order. `due_at` doubles as a lease.
TAKE = f"""
UPDATE log.parked SET due_at = clock_timestamp() + %(lease)s * interval '1 second'
WHERE id = (
    SELECT head.id FROM log.parked AS head
    WHERE head.consumer = %(consumer)s AND head.due_at <= clock_timestamp() AND NOT EXISTS (
        SELECT FROM log.parked AS older WHERE {HOLDS_BACK})
    ORDER BY head.due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING {COLUMNS}, due_at
"""  # noqa: S608 - constants only
LIST = f"SELECT {COLUMNS} FROM log.parked WHERE consumer = %s ORDER BY id LIMIT %s"  # noqa: S608 - constants only
RETRY = """
UPDATE log.parked SET due_at = CASE WHEN %(dead)s THEN 'infinity'
        WHEN due_at = %(leased)s THEN clock_timestamp() + %(seconds)s * interval '1 second' ELSE due_at END,
    attempts = %(attempts)s, early = %(early)s, reason = %(reason)s,
    dead_at = CASE WHEN %(dead)s THEN clock_timestamp() END WHERE id = %(id)s
"""  # where `due_at` was changed meanwhile, news came while the message was tried: then it is due again
DELETE = "DELETE FROM log.parked WHERE id = %s AND consumer = %s"
HEARD = """
UPDATE log.parked SET due_at = clock_timestamp()
WHERE consumer = %s AND subject = %s AND early AND due_at > clock_timestamp() AND due_at < 'infinity'
"""
# What is early may wait for another subject. The latest, because what they wait for is most likely on its way, and a
# bounded number, because it is asked at every news.
NEWS = """
UPDATE log.parked SET due_at = clock_timestamp() WHERE id IN (
    SELECT head.id FROM log.parked AS head
    WHERE head.consumer = %s AND head.early AND head.due_at > clock_timestamp() AND head.due_at < 'infinity'
        AND head.parked_at > clock_timestamp() - %s * interval '1 second' AND NOT EXISTS (
        SELECT FROM log.parked AS older WHERE older.consumer = head.consumer AND older.subject = head.subject
            AND older.topic = head.topic AND older.id < head.id)
    ORDER BY head.id DESC LIMIT %s FOR UPDATE SKIP LOCKED)
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
    count: float = 2.0  # also how often an empty shelf is looked at: what this process parks, it knows
    lease: float = 60.0
    news_pause: float = 0.02  # news is gathered for so long before early messages are tried on account of it
    news_age: float = 60.0
    news_limit: int = 20


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
        self._maybe_early = False
        self._held_since: set[tuple[str, bool]] = set()
        self._news = False

    # ---- for the wrapper ---------------------------------------------------------------------------------------

    async def park(self, raw: Raw, reason: str, *, early: bool, tx: Transaction | None = None) -> None:
        """Behind whatever is parked of its subject. Safe to repeat."""
        headers = orjson.dumps([[name, value.decode("latin-1")] for name, value in raw.headers]).decode()
        place = (self._consumer, raw.subject, raw.topic, raw.partition, raw.offset)
        wait = self._patience.early_shortest if early else self._patience.shortest
        row = (*place, raw.key, raw.value, headers, one_line(reason), early, wait)
        reach("parking.before_insert")
        if tx is not None:
            await (await driver_of(tx.connection)).execute(PARK, row)
            tx.after_commit.append(lambda: self._noted(raw.subject, early=early))
        else:
            await self._run(PARK, row)
            reach("parking.after_insert")
            self._noted(raw.subject, early=early)
        logger.warning("message_parked", consumer=self._consumer, subject=raw.subject, topic=raw.topic, early=early)

    async def held(self, subjects: Iterable[str]) -> set[str]:
        """Which of these have something parked: their messages have to be parked behind it."""
        return {subject for (subject,) in await self._run(HELD, (self._consumer, list(set(subjects))))}

    async def is_parked(self, subject: str) -> bool:
        return bool(await self.held([subject]))

    async def heard(self, subject: str) -> None:
        """News of this subject was handled: what was too early may be in time now, its own subject's first."""
        if subject in self._maybe_held:
            await self._run(HEARD, (self._consumer, subject))
            self._due.set()
        self._told()

    def _noted(self, subject: str, *, early: bool) -> None:
        self._held_since.add((subject, early))  # a count that is on its way may not have seen it
        self._maybe_held.add(subject)
        self._maybe_early |= early
        self._due.set()

    def _told(self) -> None:
        if self._maybe_early:
            self._news = True
            self._due.set()

    async def run(self, handle: Handle) -> None:
        """Tries again what is due, for ever; waits out outages of Postgres."""
        loop = asyncio.get_running_loop()
        count_at = loop.time()
        while True:
            self._due.clear()
            try:
                if loop.time() >= count_at:
                    await self._count()
                    count_at = loop.time() + self._patience.count
                if self._news:
                    self._news = False
                    await self._run(NEWS, (self._consumer, self._patience.news_age, self._patience.news_limit))
                while self._maybe_held and await self.step(handle):
                    pass
            except LogUnavailable as outage:
                logger.warning("parking_waits_for_postgres", consumer=self._consumer, reason=str(outage))
                await asyncio.sleep(self._patience.outage)
            pause = self._patience.poll if self._maybe_held else count_at - loop.time()
            try:
                async with asyncio.timeout(pause):
                    await self._due.wait()
            except TimeoutError:
                pass
            if self._news:
                await asyncio.sleep(self._patience.news_pause)

    async def step(self, handle: Handle) -> bool:
        """Tries one message, the oldest of a due subject; False if none was due."""
        taken = await self._run(TAKE, {"consumer": self._consumer, "lease": self._patience.lease})
        if not taken:
            return False
        *row, leased = taken[0]
        await self._try(_parked(row), leased, handle)
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

    async def _try(self, parked: Parked, leased: datetime, handle: Handle) -> None:
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
            await self._again(replace(parked, early=True, attempts=parked.attempts + 1), leased, wait, str(reason))
            return
        except OSError as outage:
            logger.warning("parked_message_waits", **told, reason=one_line(repr(outage)))
            await self._again(parked, leased, patience.outage, repr(outage))
            return
        except Exception as error:
            failed = replace(parked, early=False, attempts=parked.attempts + 1)
            # Its trace was told when it was set aside; once more where somebody will have to look at it.
            trace = error if failed.attempts >= patience.attempts_limit else None
            kind = type(error).__name__
            logger.error("parked_message_failed", **told, attempts=failed.attempts, reason=kind, exc_info=trace)  # noqa: TRY400
            await self._failed(failed, leased, kind)
            return
        reach("parking.before_delete")
        await self._run(DELETE, (parked.id, self._consumer))
        logger.info("parked_message_handled", **told)
        self._told()

    async def _failed(self, parked: Parked, leased: datetime, reason: str) -> None:
        if parked.attempts < self._patience.attempts_limit:
            wait = min(self._patience.shortest * 2 ** min(parked.attempts, 20), self._patience.longest)
            await self._again(parked, leased, wait, reason)
            return
        try:
            await self._publish(parked.raw, reason)
        except OSError as outage:  # copied at a later try; others are not kept waiting
            logger.warning("dead_letter_waits", consumer=self._consumer, subject=parked.subject, reason=repr(outage))
            await self._again(parked, leased, self._patience.outage, reason)
            return
        logger.error("message_given_up", consumer=self._consumer, subject=parked.subject, id=parked.id, reason=reason)
        await self._again(parked, leased, 0, reason, dead=True)

    async def _again(
        self, parked: Parked, leased: datetime, seconds: float, reason: str, *, dead: bool = False
    ) -> None:
        changed = {"attempts": parked.attempts, "early": parked.early, "reason": one_line(reason), "id": parked.id}
        await self._run(RETRY, {"dead": dead, "leased": leased, "seconds": seconds, **changed})

    async def _count(self) -> None:
        self._held_since.clear()
        rows = await self._run(COUNT, (self._consumer,))
        for wanted in (True, False):
            count = sum(number for _, early, number in rows if early is wanted)
            PARKED.labels(self._consumer, str(wanted).lower()).set(count)
        held = {(subject, early) for subject, early, _ in rows} | self._held_since
        self._maybe_held = {subject for subject, _ in held}
        self._maybe_early = any(early for _, early in held)

    async def _run(self, statement: str, parameters: Any) -> "Sequence[tuple[Any, ...]]":
        async with self._log.reading() as connection:
            cursor = await (await driver_of(connection)).execute(statement, parameters)
            return await cursor.fetchall() if cursor.description else []


def _parked(row: Sequence[Any]) -> Parked:
    id_, subject, topic, partition, offset, key, value, headers, reason, early, attempts, parked_at, dead_at = row
    pairs = [(name, text.encode("latin-1")) for name, text in orjson.loads(headers)]
    raw = Raw(topic, partition, offset, bytes(key), bytes(value), pairs)
    return Parked(id_, subject, raw, reason, early, attempts, parked_at, dead_at)
