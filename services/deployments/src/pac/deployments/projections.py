"""read.deployments, and what the queue's statistics count: both follow the log in the transaction of the checkpoint."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, assert_never, cast, get_args
from uuid import UUID

from sqlalchemy import Table, Uuid, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import Event, Outcome
from pac.contracts.deployments import (
    DeploymentAborted,
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentEvent,
    DeploymentFailed,
    DeploymentFunded,
    DeploymentPartSettled,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentStarted,
    StepCompleted,
    StepFailed,
    StepResumed,
    StepStarted,
    StepWaiting,
)
from pac.deployments.tables import counts, deployments, minutes
from pac.eventlog import Placed
from pac.eventlog.setwise import upsert

Row = dict[str, Any]
UUIDS = ARRAY(Uuid)
STATUSES = ("completed", "failed", "processing", "queued")
NO_VALUES: Row = dict.fromkeys(deployments.c.keys())
OF_A_DEPLOYMENT: tuple[type[Event], ...] = get_args(get_args(DeploymentEvent)[0])


def shown(row: Row, event: DeploymentEvent) -> Row:  # noqa: PLR0911 - one return an event
    """The row after the event; {} is no row yet."""
    match event:
        case DeploymentQueued():
            return _queued(event)
        case DeploymentStarted(at=at, release=release):
            return row | {"status": "processing", "started_at": at, "release": release}
        case DeploymentAborted():
            return row | {"status": "processing"}
        case DeploymentFailed(at=at, code=code, error=error):
            return _ended(row, Outcome.FAILED, at) | {"error_code": code, "error": error}
        case DeploymentCancelled(at=at, code=code, error=error):
            return _ended(row, Outcome.CANCELLED, at) | {"error_code": code, "error": error}
        case DeploymentRejected(at=at, code=code, error=error):
            return _ended(row, Outcome.REJECTED, at) | {"error_code": code, "error": error}
        case DeploymentCompleted(at=at):
            return _ended(row, Outcome.SUCCEEDED, at)
        case DeploymentFunded() | DeploymentPartSettled():
            return row
        case StepStarted() | StepCompleted() | StepFailed() | StepWaiting() | StepResumed():
            return row
        case _:
            assert_never(event)


def _queued(event: DeploymentQueued) -> Row:
    return NO_VALUES | {
        "id": event.deployment_id,
        "account_id": event.account_id,
        "agent_app_id": event.agent_app_id,
        "package_id": event.package_id,
        "version": event.package_version,
        "source": event.source.value,
        "retry_of": event.retry_of,
        "no": event.no,
        "status": "queued",
        "created_at": event.at,
    }


def _ended(row: Row, outcome: Outcome, at: datetime) -> Row:
    began = row["started_at"] or row["created_at"]
    return row | {
        "status": "completed" if outcome is Outcome.SUCCEEDED else "failed",
        "outcome": outcome.value,
        "completed_at": at,
        "duration_seconds": max((at - began).total_seconds(), 0.0),
    }


@dataclass(frozen=True)
class Deployments:
    """One row a deployment as lists show it; deployments per status; per minute what finished, and how long it took.

    Failures are those with the outcome `failed`: a cancelled or unpaid deployment says nothing about the queue.
    """

    name: str = "deployments"
    tables: tuple[Table, ...] = (deployments, counts, minutes)

    async def apply(self, tx: AsyncConnection, batch: Sequence[Placed]) -> None:
        placed = [each for each in batch if isinstance(each.event, OF_A_DEPLOYMENT)]
        if not placed:
            return
        events = [cast("DeploymentEvent", each.event) for each in placed]
        new = {event.deployment_id for event in events if isinstance(event, DeploymentQueued)}
        # Nothing precedes the first event of a stream, so no row does.
        before = await self._rows(tx, {event.deployment_id for event in events} - new)
        after = dict(before)
        for event in events:
            after[event.deployment_id] = shown(after.get(event.deployment_id, {}), event)
        changed = [row for key, row in after.items() if before.get(key) is not row]
        if not changed:
            return
        await tx.execute(upsert(deployments, changed))
        await self._count(tx, before, after)
        await self._finished(tx, [row for row in changed if row["outcome"] is not None])

    async def _rows(self, tx: AsyncConnection, ids: set[UUID]) -> dict[UUID, Row]:
        if not ids:
            return {}
        found = await tx.execute(select(deployments).where(deployments.c.id == any_(literal(list(ids), UUIDS))))
        return {row["id"]: dict(row) for row in found.mappings()}

    async def _count(self, tx: AsyncConnection, before: dict[UUID, Row], after: dict[UUID, Row]) -> None:
        change = Counter(row["status"] for row in after.values())
        change.subtract(row["status"] for row in before.values())
        # All of them, changed or not: which rows there are must not depend on how the log was cut into batches.
        rows = [{"status": status, "deployments": change[status]} for status in STATUSES]
        await tx.execute(upsert(counts, rows, adding=["deployments"]))

    async def _finished(self, tx: AsyncConnection, ended: Sequence[Row]) -> None:
        """`ended` ended in this batch: nothing follows a terminal event, so no row is seen here twice."""
        sums: dict[datetime, Row] = defaultdict(lambda: {"completed": 0, "failed": 0, "seconds": Decimal(0)})
        for row in ended:
            minute = sums[row["completed_at"].replace(second=0, microsecond=0)]
            if row["outcome"] == Outcome.SUCCEEDED:
                minute["completed"] += 1
                minute["seconds"] += Decimal(f"{row['duration_seconds']:.6f}")  # exact: the same sum in any order
            elif row["outcome"] == Outcome.FAILED:
                minute["failed"] += 1
        if not sums:
            return
        rows = [{"minute": minute, **values} for minute, values in sorted(sums.items())]
        await tx.execute(upsert(minutes, rows, adding=["completed", "failed", "seconds"]))
