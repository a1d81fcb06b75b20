"""The relay: a reader that says to Kafka what the log holds, in order, at least once, one leader per database.

Send all, await all, then move the checkpoint. A leader that was stopped and wakes up late may say old things again,
which consumers know by the version; it cannot move the checkpoint, because the move names the lease's token.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiokafka.errors import KafkaError

from pac.contracts.base import Event
from pac.contracts.envelope import Envelope, to_kafka
from pac.eventlog import checkpoints
from pac.eventlog.crashpoints import reach
from pac.eventlog.engine import driver_of
from pac.eventlog.leases import Lease, Leases, StaleLease
from pac.eventlog.log import EventLog
from pac.eventlog.metrics import RELAY_LAG, RELAYED, WATERMARK_AGE
from pac.eventlog.producers import Producer, start, stop
from pac.eventlog.readers import keep_reading
from pac.eventlog.types import Position

logger = structlog.get_logger(__name__)

BATCH_SIZE = 500
STREAMS_REMEMBERED = 50_000
LONGEST_BACKOFF_SECONDS = 5.0
PRECEDING = """
SELECT asked.stream FROM unnest(%s::text[], %s::bigint[]) AS asked (stream, version)
WHERE EXISTS (SELECT FROM log.events AS e WHERE e.stream = asked.stream AND e.version = asked.version
    AND (e.xid, e.position) <= (%s::xid8, %s))
"""


class LogOutOfOrder(RuntimeError):  # noqa: N818 - says what was found
    """A stream's versions do not follow each other in reading order. Nothing of the batch was sent."""


class Relay:
    """`producer` makes the Kafka client: an idempotent one that waits for all replicas."""

    name = "relay"

    def __init__(
        self,
        log: EventLog,
        topic: str,
        producer: Callable[[], Producer],
        *,
        batch_size: int = BATCH_SIZE,
        lease_seconds: float = 10.0,
    ) -> None:
        self._log = log
        self._topic = topic
        self._producer = producer
        self._batch_size = batch_size
        self._leases = Leases(log, lease_seconds)

    async def run(self) -> None:
        await self._leases.lead(self.name, self.lead)

    async def lead(self, lease: Lease) -> None:
        """Relays as long as the lease is ours; waits for a broker that is away."""
        backoff = 0.1
        while True:
            producer = self._producer()
            leading = _Leading(self._log, producer, self._topic, lease, self._batch_size)
            try:
                await start(producer)
                await keep_reading(self._log, leading.step, self._measure)
            except (KafkaError, OSError) as outage:
                backoff = 0.1 if leading.sent else min(backoff * 2, LONGEST_BACKOFF_SECONDS)
                logger.warning("relay_waits_for_kafka", topic=self._topic, reason=repr(outage), seconds=backoff)
            except LogOutOfOrder:
                logger.exception("relay_stopped", topic=self._topic)
                raise
            finally:
                await stop(producer)
            await asyncio.sleep(backoff)

    async def _measure(self) -> None:
        service = self._log.service.value
        RELAY_LAG.labels(service).set(await self._log.relay_backlog_seconds())
        WATERMARK_AGE.labels(service).set(await self._log.watermark_age_seconds())


class _Leading:
    """What a leader knows between two batches; forgotten with the producer."""

    def __init__(self, log: EventLog, producer: Producer, topic: str, lease: Lease, batch_size: int) -> None:
        self.sent = 0
        self._log, self._producer, self._topic, self._lease = log, producer, topic, lease
        self._batch_size = batch_size
        self._stands: Position | None = None
        self._versions: dict[str, int] = {}

    async def step(self) -> bool:
        if self._stands is None:
            self._stands = await checkpoints.position_in(self._log, Relay.name)
            self._versions.clear()
        batch = await self._log.read(self._stands, self._batch_size)
        if not batch:
            return False
        envelopes = [envelope for _, envelope in batch]
        before, self._stands = self._stands, None
        await self._check_order(before, envelopes)
        reach("relay.before_send")
        await self._send(envelopes)
        reach("relay.after_send")
        await self._move(before, batch[-1][0])
        reach("relay.after_checkpoint")
        self._stands = batch[-1][0]
        self.sent += len(batch)
        RELAYED.labels(self._log.service.value).inc(len(batch))
        return True

    async def _check_order(self, before: Position, envelopes: Sequence[Envelope[Event]]) -> None:
        if len(self._versions) > STREAMS_REMEMBERED:
            self._versions.clear()
        unknown = {e.stream: e.version - 1 for e in reversed(envelopes) if e.stream not in self._versions}
        behind = {stream: version for stream, version in unknown.items() if version > 0}
        if behind:
            async with self._log.reading() as connection:
                asked = (list(behind), list(behind.values()), str(before.xid), before.number)
                found = await (await (await driver_of(connection)).execute(PRECEDING, asked)).fetchall()
            behind = {stream: behind[stream] for (stream,) in found}
        self._versions |= {stream: behind.get(stream, 0) for stream in unknown}
        for envelope in envelopes:
            expected = self._versions[envelope.stream] + 1
            if envelope.version != expected:
                self._versions.clear()
                raise LogOutOfOrder(f"{envelope.stream}: version {envelope.version} where {expected} was due")
            self._versions[envelope.stream] = envelope.version

    async def _send(self, envelopes: Sequence[Envelope[Event]]) -> None:
        acknowledged: list[Awaitable[Any]] = []
        try:
            for envelope in envelopes:
                key, value, headers = to_kafka(envelope)
                acknowledged.append(await self._producer.send(self._topic, value, key, headers=headers))
                reach("relay.in_send")
        finally:
            results = await asyncio.gather(*acknowledged, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result

    async def _move(self, before: Position, after: Position) -> None:
        async with self._log.reading() as connection:
            reach("relay.before_checkpoint")
            moved = await (await driver_of(connection)).execute(
                checkpoints.MOVE_WITH_LEASE,
                (self._lease.name, self._lease.token, *checkpoints.move_parameters(Relay.name, before, after)),
            )
        if moved.rowcount != 1:
            raise StaleLease(self._lease.name)
