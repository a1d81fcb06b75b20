"""Lists of an account's deployments: which ones and in which order; how each looks, its own stream says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, literal, select, text, tuple_, union

from pac.contracts.api import DeploymentView
from pac.deployments.history import History
from pac.deployments.queries import Place, Queries
from pac.deployments.tables import deployments, queue
from pac.deployments.views import is_queued, queue_view, view_of
from pac.eventlog import EventLog

QUEUED = ("undecided", "held")
PROCESSING = ("processing", "finalizing", "aborting")

# As in `queries.PLACE`, for many of one account: the line is counted once.
PLACES = text("""
WITH line AS (
    SELECT deployment_id, agent_app_id, row_number() OVER (ORDER BY queued_at, deployment_id) - 1 AS ahead
    FROM state.queue WHERE account_id = :account_id AND status IN ('undecided', 'held')
), running AS (
    SELECT agent_app_id FROM state.queue WHERE account_id = :account_id AND status IN ('processing', 'finalizing')
)
SELECT deployment_id, ahead, (SELECT count(*) FROM running),
    EXISTS (SELECT FROM running WHERE running.agent_app_id = line.agent_app_id)
FROM line WHERE deployment_id = ANY (:deployment_ids)
""")


@dataclass(frozen=True)
class Wanted:
    """`after`: time and id of the last one seen."""

    account_id: UUID
    app_id: UUID | None
    status: str | None
    limit: int
    after: tuple[datetime, UUID] | None = None


@dataclass(frozen=True)
class Listed:
    views: tuple[DeploymentView, ...]
    last: tuple[datetime, UUID] | None  # of a page that has another one after it


@dataclass(frozen=True)
class Listing:
    log: EventLog
    history: History
    queries: Queries

    async def page(self, wanted: Wanted) -> Listed:
        """Newest first. One that has moved on while it was looked up is left out of a list of its former status."""
        async with self.log.reading() as connection:
            rows = (await connection.execute(_found(wanted))).all()
        rows, more = rows[: wanted.limit], len(rows) > wanted.limit
        states = await self.history.many([row.id for row in rows])
        queued = [deployment_id for deployment_id, state in states.items() if is_queued(state)]
        places, history = await self._places(wanted.account_id, queued)
        views = []
        for row in rows:
            if (state := states.get(row.id)) is None:  # the projection is being rebuilt from another log
                continue
            place = queue_view(state, places.get(row.id), history) if is_queued(state) else None
            view = view_of(state, place)
            if wanted.status in (None, view.status):
                views.append(view)
        return Listed(tuple(views), (rows[-1].created_at, rows[-1].id) if more else None)

    async def _places(self, account_id: UUID, deployment_ids: Sequence[UUID]) -> tuple[dict[UUID, Place], Any]:
        if not deployment_ids:
            return {}, None
        asked = {"account_id": account_id, "deployment_ids": list(deployment_ids)}
        async with self.log.reading() as connection:
            rows = (await connection.execute(PLACES, asked)).all()
            history = await self.queries.history(connection)
        return {row[0]: self.queries.place_of(*row[1:]) for row in rows}, history


def _found(wanted: Wanted) -> Select[Any]:
    """Open ones from the queue, which is never behind; ended ones from the projection."""
    open_ = select(queue.c.deployment_id.label("id"), queue.c.queued_at.label("created_at"))
    open_ = open_.where(queue.c.account_id == wanted.account_id)
    known = select(deployments.c.id, deployments.c.created_at).where(deployments.c.account_id == wanted.account_id)
    if wanted.app_id is not None:
        open_ = open_.where(queue.c.agent_app_id == wanted.app_id)
        known = known.where(deployments.c.agent_app_id == wanted.app_id)
    match wanted.status:
        case None:
            pass
        case "queued" | "processing":
            open_ = open_.where(queue.c.status.in_(QUEUED if wanted.status == "queued" else PROCESSING))
            known = known.where(literal(value=False))
        case ended:
            open_ = open_.where(literal(value=False))
            known = known.where(deployments.c.status == ended)
    if wanted.after is not None:
        open_ = open_.where(tuple_(queue.c.queued_at, queue.c.deployment_id) < wanted.after)
        known = known.where(tuple_(deployments.c.created_at, deployments.c.id) < wanted.after)
    number = wanted.limit + 1
    open_ = open_.order_by(queue.c.queued_at.desc(), queue.c.deployment_id.desc()).limit(number)
    known = known.order_by(deployments.c.created_at.desc(), deployments.c.id.desc()).limit(number)
    both = union(open_.subquery().select(), known.subquery().select()).subquery()
    return select(both.c.id, both.c.created_at).order_by(both.c.created_at.desc(), both.c.id.desc()).limit(number)
