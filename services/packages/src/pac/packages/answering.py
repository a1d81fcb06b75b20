"""The answer to a deploy of any kind: it waits for billing's decision, but not for long, and never for an outage."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from aiohttp import web
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.bodies.packages import AcceptedDeployment, AcceptedPackage, AcceptedReply, Tracking
from pac.contracts.errors import ErrorCode, Refused
from pac.eventlog import EventLog
from pac.packages.shelf import submission_row
from pac.packages.submitting import Submitted
from pac.servicekit.http import reply, stopping_of
from pac.servicekit.idempotency import attempt_of

HANG_SECONDS = 0.5


@dataclass(frozen=True)
class Waiting:
    """How long a deploy waits for billing's decision, and what it does not wait out."""

    decision_seconds: float = 10.0
    backlog_seconds: float = 2.0


def status_url(public_url: str, deployment_id: UUID) -> str:
    return f"{public_url}/api/deployments/{deployment_id}"


@dataclass(frozen=True)
class Answering:
    log: EventLog
    waiting: Waiting
    public_url: str

    def accepted(
        self, submitted: Submitted, app_id: UUID, package: AcceptedPackage, queued_at: datetime
    ) -> AcceptedReply:
        deployment = AcceptedDeployment(
            id=submitted.deployment_id,
            queued_at=queued_at,
            estimated_duration_seconds=submitted.estimated_seconds,
        )
        tracking = Tracking(
            status_url=status_url(self.public_url, submitted.deployment_id),
            webhook_url=f"{self.public_url}/api/agent-apps/{app_id}/webhooks",
        )
        return AcceptedReply(deployment=deployment, package=package, tracking=tracking)

    async def answer(self, request: web.Request, accepted: AcceptedReply) -> web.Response:
        """202: held, ended otherwise, or not known in time. Refused (402) when credits do not suffice."""
        await self._decided(accepted.deployment.id, request)
        return reply(accepted, status=202)

    async def go_on(self, request: web.Request) -> web.Response | None:
        """The answer to a request whose submission an attempt before this one had committed; else None."""
        if (outcome := attempt_of(request).outcome) is None:
            return None
        return await self.answer(request, AcceptedReply.model_validate(outcome))

    async def _decided(self, deployment_id: UUID, request: web.Request) -> None:
        looking = asyncio.create_task(self._look(deployment_id))
        stopping = asyncio.create_task(stopping_of(request).wait())
        try:
            # The look ends by itself at its time, unless Postgres hangs in the middle of it.
            longest = self.waiting.decision_seconds + HANG_SECONDS
            await asyncio.wait([looking, stopping], timeout=longest, return_when=asyncio.FIRST_COMPLETED)
            row = looking.result() if looking.done() else None
        finally:
            for task in (looking, stopping):
                task.cancel()
            await asyncio.wait([looking, stopping], timeout=HANG_SECONDS)
        if row is not None and row.decision == "rejected":
            raise Refused(
                ErrorCode.INSUFFICIENT_CREDITS,
                required=row.required,
                available=row.available,
                deployment_id=str(deployment_id),
            )

    async def _look(self, deployment_id: UUID) -> Row[Any] | None:
        async def probe(connection: AsyncConnection) -> Row[Any] | None:
            row = await submission_row(connection, deployment_id)
            assert row is not None
            if row.decision != "undecided" or not row.open:
                return row
            backlog = await self.log.relay_backlog_seconds()
            return row if backlog > self.waiting.backlog_seconds else None

        return await self.log.wait_for(probe, timeout_seconds=self.waiting.decision_seconds)
