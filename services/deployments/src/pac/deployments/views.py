"""A deployment as the specification shows it: a fold turned into a reply. Pure."""

from typing import Any

from pac.contracts.api import DeploymentView, Progress, QueueView, StepView, WaitView
from pac.contracts.base import Outcome, Step
from pac.deployments.domain import Deployment, StepRecord
from pac.deployments.queries import History, Place

OUTCOMES: dict[str, Outcome] = {
    "completed": Outcome.SUCCEEDED,
    "failed": Outcome.FAILED,
    "cancelled": Outcome.CANCELLED,
    "rejected": Outcome.REJECTED,
}


def is_queued(now: Deployment) -> bool:
    return now.status in ("undecided", "held")


def view_of(now: Deployment, queue: QueueView | None = None) -> DeploymentView:
    """Cancelled and rejected show `failed`; while the end is being settled it is `processing`, without an outcome."""
    package = now.submission
    outcome = OUTCOMES.get(now.status)
    shared = DeploymentView(
        id=package.deployment_id,
        status="queued" if is_queued(now) else "processing",
        package_id=package.package_id,
        agent_app_id=package.agent_app_id,
        version=package.package_version,
        created_at=package.at,
        started_at=now.started_at,
        progress=Progress(current_step=current_step(now), steps=tuple(step_view(now, step) for step in Step)),
        source=package.source,
        release=now.release or None,
        pinned=now.pinned or None,
        retry_of=package.retry_of,
        queue=queue,
    )
    if outcome is None or now.ended_at is None:
        return shared
    ended: dict[str, Any] = {
        "status": "completed" if outcome is Outcome.SUCCEEDED else "failed",
        "outcome": outcome,
        "completed_at": now.ended_at,
        "duration_seconds": max(round((now.ended_at - (now.started_at or package.at)).total_seconds()), 0),
    }
    if (aborted := now.aborted) is not None:
        ended |= {
            "error": aborted.error,
            "error_code": aborted.code,
            "error_details": aborted.error_details or None,
            "required": aborted.required,
            "available": aborted.available,
        }
    return shared.model_copy(update=ended)


def current_step(now: Deployment) -> Step | None:
    """None before the first and after the last; of one that ended early, the step at which it did."""
    return None if now.status == "completed" else now.step


def step_view(now: Deployment, step: Step) -> StepView:
    record = now.steps.get(step)
    if record is None:
        if step in now.skipped:
            return StepView(name=step, status="completed", skipped=True)
        return StepView(name=step, status="pending")
    attempt = record.attempt if record.attempt > 1 else None
    if record.completed_at is not None:
        return StepView(
            name=step,
            status="completed",
            attempt=attempt,
            started_at=record.started_at,
            completed_at=record.completed_at,
        )
    over = now.status in OUTCOMES
    reason = now.aborted.error if over and now.aborted is not None else record.reason
    return StepView(
        name=step,
        status="failed" if over else "processing",
        attempt=attempt,
        started_at=record.started_at,
        completed_at=now.aborted.at if over and now.aborted is not None else None,
        reason=reason,
        waiting=wait_view(now, record),
    )


def wait_view(now: Deployment, record: StepRecord) -> WaitView | None:
    if not now.live or record.waiting_since is None:
        return None
    return WaitView(reason="waiting_for_runtime", since=record.waiting_since)


def queue_view(now: Deployment, place: Place | None, history: History) -> QueueView:
    return QueueView(
        position=place.position if place else None,
        reason="waiting_for_billing" if now.status == "undecided" else "waiting_for_slot",
        eta_p50_seconds=place.eta(history.p50_seconds) if place else None,
        eta_p90_seconds=place.eta(history.p90_seconds) if place else None,
    )
