"""Deployments as their own streams tell them: one or many folded, their events, and how far one was at a moment."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Final, cast
from uuid import UUID

from sqlalchemy import text

from pac.contracts.base import Event
from pac.contracts.deployments import DeploymentEvent
from pac.contracts.envelope import Envelope
from pac.contracts.errors import ErrorCode, Refused
from pac.deployments.domain import OPEN, Command, Deployment
from pac.eventlog import Cause, Decider, EventLog, Recorded
from pac.eventlog.record import envelope_from, event_from

SETTLED: Final = timedelta(seconds=2)
AHEAD: Final = timedelta(seconds=1)  # as much may the caller's clock be ahead of ours

EVENTS = text("""
SELECT stream, version, data::text, metadata::text FROM log.events
WHERE stream = :stream AND version > :after ORDER BY version LIMIT :limit
""")

STREAMS = text("""
SELECT stream, version, data::text, (metadata->>'data_version')::int FROM log.events
WHERE stream = ANY (:streams) ORDER BY stream, version
""")

# An event counts from its own time on, but at the earliest SETTLED before it was recorded: so a past that is older than
# SETTLED never changes. The first event counts from the submission's time.
FIRST_LATER = text("""
SELECT min(version) FROM log.events
WHERE stream = :stream AND CASE version WHEN 1 THEN at ELSE greatest(at, recorded_at - :settled) END > :moment
""")

UNSETTLED = text("SELECT extract(epoch FROM CAST(:moment AS timestamptz) + :settled - clock_timestamp())")


@dataclass(frozen=True)
class History:
    log: EventLog
    decider: Decider[Deployment, Command, DeploymentEvent]

    async def owned(self, account_id: UUID | None, deployment_id: UUID) -> Recorded[Deployment]:
        """As it is now. An unknown one and another account's take the same way to the same refusal (404)."""
        recorded = await self.log.load(self.decider, deployment_id)
        queued = recorded.state.queued
        if queued is None or queued.account_id != account_id:
            raise Refused(ErrorCode.NOT_FOUND, "Deployment not found")
        return recorded

    async def many(self, deployment_ids: Sequence[UUID]) -> dict[UUID, Deployment]:
        """All of them in one statement; unknown ones are not among them."""
        streams = [self.decider.stream(each) for each in deployment_ids]
        async with self.log.reading() as connection:
            rows = (await connection.execute(STREAMS, {"streams": streams})).all()
        states = {}
        for _, own in groupby(rows, key=itemgetter(0)):
            events = [cast("DeploymentEvent", event_from(self.log.service, row[2], row[3])) for row in own]
            state = self.decider.fold(events)
            states[state.submission.deployment_id] = state
        return states

    async def events(self, deployment_id: UUID, *, after: int, limit: int) -> list[Envelope[Event]]:
        """The next ones in order. Without a gap: who appends to a stream holds its lock until the commit."""
        asked = {"stream": self.decider.stream(deployment_id), "after": after, "limit": limit}
        async with self.log.reading() as connection:
            rows = (await connection.execute(EVENTS, asked)).all()
        return [envelope_from(self.log.service, *row) for row in rows]

    # ---- as it was ------------------------------------------------------------------------------------------------

    async def as_of(
        self, now: Recorded[Deployment], as_of: int | datetime, *, deployment_id: UUID, cause: Cause
    ) -> Recorded[Deployment]:
        """The same at every later call. Refused: 404 for a version that is not there, 400 for a time still to come."""
        version = as_of if isinstance(as_of, int) else await self._version_at(now, as_of, deployment_id, cause)
        if version > now.version:
            raise Refused(ErrorCode.NOT_FOUND, f"Deployment has no version {version} yet")
        if version == 0:
            raise Refused(ErrorCode.NOT_FOUND, "Deployment did not exist at that time")
        return await self.log.load(self.decider, deployment_id, as_of=version)

    async def _version_at(self, now: Recorded[Deployment], moment: datetime, deployment_id: UUID, cause: Cause) -> int:
        stream = self.decider.stream(deployment_id)
        asked = {"stream": stream, "moment": moment, "settled": SETTLED}
        async with self.log.reading() as connection:
            seconds = float((await connection.execute(UNSETTLED, asked)).scalar_one())
            if seconds > (SETTLED + AHEAD).total_seconds():
                raise Refused(ErrorCode.INVALID_REQUEST, details=["as_of: is still to come"])
            if now.state.status not in OPEN:  # nothing follows an end
                later = (await connection.execute(FIRST_LATER, asked)).scalar_one()
                return now.version if later is None else int(later) - 1
        if seconds > 0:
            await asyncio.sleep(seconds)
        # Whoever writes an older event has committed when the lock is ours; what comes after is later than `moment`.
        async with self.log.transaction(stream, cause=cause) as tx:
            later = (await tx.execute(FIRST_LATER, asked)).scalar_one()
            head = (await tx.load(self.decider, deployment_id)).version
        return head if later is None else int(later) - 1
