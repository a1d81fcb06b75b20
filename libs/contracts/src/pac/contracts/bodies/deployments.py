"""Lists of deployments, their events, and the figures of the queue; one deployment is in `contracts.api`."""

from typing import Any, Literal
from uuid import UUID

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from pac.contracts.api import DeploymentView, Reply
from pac.contracts.base import Moment

Level = Literal["healthy", "warning", "critical"]


class Stats(Reply):
    queued: int
    processing: int
    completed: int
    failed: int
    total: int


class QueueHealth(Reply):
    status: Level
    message: str


class Metrics(Reply):
    """`estimated_duration_seconds`: what a deployment takes at the moment, from our own recent history."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True)
    avg_processing_time_seconds: int
    last_updated: Moment
    estimated_duration_seconds: int


class StatsReply(Reply):
    stats: Stats
    health: QueueHealth
    metrics: Metrics


class DeploymentsReply(Reply):
    deployments: tuple[DeploymentView, ...]
    next_cursor: str | None


class AppStateView(Reply):
    """`stopped`: the current release does not run, and nothing else does."""

    id: UUID
    current_deployment_id: UUID | None
    pinned: bool
    stopped: bool


class AppStateReply(Reply):
    agent_app: AppStateView


class EventView(Reply):
    """One event of a deployment's log, the same in a page and in a stream. `data` is what stands in the log."""

    version: int
    type: str
    at: Moment
    data: dict[str, Any]
    causation_id: UUID | None


class EventsReply(Reply):
    events: tuple[EventView, ...]
    next_cursor: str | None
