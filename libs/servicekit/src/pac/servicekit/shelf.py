"""log.parked: messages set aside, per subject and in order. Statements only; what to do with them is in `parked.py`.

An early message holds back only those of its own topic: what it waits for may come on another one with the same key.
A broken message holds back everything of its subject.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import text

from pac.eventlog import EventLog, unavailable

_BEFORE = "earlier.consumer = row.consumer AND earlier.subject = row.subject AND earlier.id < row.id"
HOLDS = text("""
SELECT EXISTS (SELECT FROM log.parked
    WHERE consumer = :consumer AND subject = :subject AND (topic = :topic OR NOT early))
""")
PUT = text("""
INSERT INTO log.parked (consumer, subject, topic, partition, "offset", key, value, headers, reason, early, due_at)
VALUES (:consumer, :subject, :topic, :partition, :offset, :key, :value, CAST(:headers AS jsonb), :reason, :early,
        clock_timestamp() + make_interval(secs => :seconds))
ON CONFLICT ON CONSTRAINT parked_once DO NOTHING
""")
# Taken for a while, so that replicas do not try the same ones.
TAKE = text(f"""
UPDATE log.parked SET due_at = clock_timestamp() + make_interval(secs => :seconds)
WHERE id IN (
    SELECT row.id FROM log.parked AS row
    WHERE row.consumer = :consumer AND row.dead_at IS NULL
      AND (row.due_at <= clock_timestamp() OR (:eager AND row.early AND row.attempts < 1000000))
      AND NOT EXISTS (SELECT FROM log.parked AS earlier
                      WHERE {_BEFORE} AND (earlier.topic = row.topic OR NOT earlier.early))
    ORDER BY row.id LIMIT :limit FOR UPDATE OF row SKIP LOCKED)
RETURNING id, subject, topic, partition, "offset", key, value, headers, early, attempts
""")  # noqa: S608 - constants of this file
DELETE = text("DELETE FROM log.parked WHERE id = :id")
AGAIN = text("""
UPDATE log.parked SET reason = :reason, early = :early, attempts = :attempts,
    due_at = clock_timestamp() + make_interval(secs => :seconds) WHERE id = :id
""")
DEAD = text("UPDATE log.parked SET dead_at = clock_timestamp(), reason = :reason, early = false WHERE id = :id")
COUNT = text("SELECT count(*) FROM log.parked WHERE consumer = :consumer")


@dataclass(frozen=True)
class ParkedRecord:
    """A message that was set aside, in the form in which Kafka gave it."""

    id: int
    subject: str
    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, str]
    early: bool
    attempts: int


@dataclass(frozen=True)
class ParkedTable:
    """Raises LogUnavailable in an outage."""

    log: EventLog
    consumer: str

    async def _run(self, statement: Any, **parameters: Any) -> list[Any]:
        with unavailable("log.parked"):
            async with self.log.engine.begin() as connection:
                result = await connection.execute(statement, parameters)
                return list(result) if result.returns_rows else []

    async def holds(self, subject: str, topic: str) -> bool:
        [[held]] = await self._run(HOLDS, consumer=self.consumer, subject=subject, topic=topic)
        return bool(held)

    async def put(self, record: Any, subject: str, reason: str, *, early: bool, seconds: float) -> None:
        pairs = record.headers.items() if isinstance(record.headers, Mapping) else record.headers
        headers = {
            name: value if isinstance(value, str) else bytes(value or b"").decode("utf-8", "replace").replace("\0", "�")
            for name, value in pairs
        }
        await self._run(
            PUT,
            consumer=self.consumer,
            subject=subject,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            key=record.key or b"",
            value=record.value or b"",
            headers=orjson.dumps(headers).decode(),
            reason=reason,
            early=early,
            seconds=seconds,
        )

    async def take(self, *, eager: bool, limit: int, lease_seconds: float) -> list[ParkedRecord]:
        rows = await self._run(TAKE, consumer=self.consumer, eager=eager, limit=limit, seconds=lease_seconds)
        found = [ParkedRecord(*row) for row in rows]
        return sorted(found, key=lambda row: row.id)

    async def again(self, row: ParkedRecord, reason: str, *, early: bool, attempts: int, seconds: float) -> None:
        await self._run(AGAIN, id=row.id, reason=reason, early=early, attempts=attempts, seconds=seconds)

    async def delete(self, row: ParkedRecord) -> None:
        await self._run(DELETE, id=row.id)

    async def dead(self, row: ParkedRecord, reason: str) -> None:
        await self._run(DEAD, id=row.id, reason=reason)

    async def count(self) -> int:
        [[parked]] = await self._run(COUNT, consumer=self.consumer)
        return int(parked)
