"""The open deployments and their apps, written in the transaction of the events: `record` is every command's `then`.

A slot is a row of `state.queue` in a state of HOLDING_A_SLOT. So it is freed with DeploymentAborted and with
DeploymentCompleted, in their transaction, by the state alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pac.contracts.deployments import DeploymentCompleted, DeploymentEvent, DeploymentStarted
from pac.deployments.domain import OPEN, AppState, Deployment
from pac.deployments.figures import Figures
from pac.deployments.tables import apps, queue, turns
from pac.eventlog import Cause, Transaction


def app_lock(agent_app_id: UUID) -> str:
    """Held by whoever queues for an app and by whoever deletes it: one of them sees the other."""
    return f"deployments-of-app-{agent_app_id}"


def row_of(now: Deployment) -> dict[str, Any]:
    """An open deployment as a row."""
    package = now.submission
    repeated = now.aborted.repeated if now.aborted else 0
    return {
        "deployment_id": package.deployment_id,
        "account_id": package.account_id,
        "agent_app_id": package.agent_app_id,
        "no": package.no,
        "status": now.status,
        "release": now.release or None,
        "step": now.step.value if now.step else None,
        "attempt": repeated + 1 if now.status == "aborting" else now.attempt,
        "due_at": now.due_at,
        "queued_at": package.at,
        "funded_at": now.funded_at,
        "started_at": now.started_at,
    }


@dataclass(frozen=True)
class Queue:
    figures: Figures = field(default_factory=Figures)

    async def record(
        self,
        tx: Transaction,
        before: Deployment,  # noqa: ARG002 - the signature of eventlog's `then`
        events: Sequence[DeploymentEvent],
        after: Deployment,
    ) -> None:
        if not events:
            return
        tx.after_commit.append(lambda: self.figures.count(events, after))
        for event in events:
            if isinstance(event, DeploymentStarted):
                await self._started(tx, event)
            if isinstance(event, DeploymentCompleted) and event.current:
                await self._completed(tx, event)
        mine = queue.c.deployment_id == after.submission.deployment_id
        if after.status in OPEN:
            await tx.execute(update(queue).where(mine).values(row_of(after)))
        else:
            await tx.execute(delete(queue).where(mine))

    async def enter(self, tx: Transaction, now: Deployment, cause: Cause) -> None:
        """A new deployment. What its own clock causes later belongs to the same correlation."""
        origin = {"correlation_id": cause.correlation_id, "traceparent": cause.traceparent}
        await tx.execute(insert(queue).values(row_of(now) | origin))

    async def is_deleted(self, tx: Transaction, agent_app_id: UUID) -> bool:
        found = await tx.execute(select(apps.c.deleted_at).where(apps.c.agent_app_id == agent_app_id))
        return found.scalar_one_or_none() is not None

    async def delete_app(self, tx: Transaction, agent_app_id: UUID, account_id: UUID, at: Any) -> list[UUID]:
        """Remembers that the app is gone. Gives those that it ends; no other will be queued unseen."""
        gone = insert(apps).values(
            agent_app_id=agent_app_id, account_id=account_id, last_release=0, stopped_release=0, deleted_at=at
        )
        first = func.coalesce(apps.c.deleted_at, gone.excluded.deleted_at)
        await tx.execute(gone.on_conflict_do_update(index_elements=["agent_app_id"], set_={"deleted_at": first}))
        found = await tx.execute(
            select(queue.c.deployment_id)
            .where(queue.c.agent_app_id == agent_app_id, queue.c.status.in_(("undecided", "held", "processing")))
            .order_by(queue.c.no)
        )
        return list(found.scalars())

    async def next_release(self, tx: Transaction, agent_app_id: UUID) -> tuple[int, bool]:
        """And whether the app is pinned. Only under the lock of the slots."""
        columns = (apps.c.last_release, apps.c.pinned_to)
        found = (await tx.execute(select(*columns).where(apps.c.agent_app_id == agent_app_id))).one_or_none()
        return (1, False) if found is None else (found.last_release + 1, found.pinned_to is not None)

    async def record_app(self, tx: Transaction, agent_app_id: UUID, now: AppState) -> None:
        """What an app is set to, in the transaction that says so. There is a row once anything of it has started."""
        values = {"pinned_to": now.pinned_to, "stopped_release": now.stopped_release}
        await tx.execute(update(apps).where(apps.c.agent_app_id == agent_app_id).values(values))

    async def _started(self, tx: Transaction, event: DeploymentStarted) -> None:
        app = insert(apps).values(
            agent_app_id=event.agent_app_id,
            account_id=event.account_id,
            last_release=event.release,
            stopped_release=0,
        )
        highest = func.greatest(apps.c.last_release, app.excluded.last_release)
        await tx.execute(app.on_conflict_do_update(index_elements=["agent_app_id"], set_={"last_release": highest}))
        turn = insert(turns).values(account_id=event.account_id, served_at=event.at)
        await tx.execute(
            turn.on_conflict_do_update(index_elements=["account_id"], set_={"served_at": turn.excluded.served_at})
        )

    async def _completed(self, tx: Transaction, event: DeploymentCompleted) -> None:
        await tx.execute(
            update(apps)
            .where(apps.c.agent_app_id == event.agent_app_id)
            .where(func.coalesce(apps.c.current_release, 0) < event.release)
            .values(current_deployment_id=event.deployment_id, current_release=event.release, current_no=event.no)
        )
