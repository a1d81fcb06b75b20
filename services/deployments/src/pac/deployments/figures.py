"""What the metrics say of deployments: how long steps take, how deployments end."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram

from pac.contracts.deployments import (
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentEvent,
    DeploymentFailed,
    DeploymentRejected,
    StepCompleted,
    StepFailed,
)
from pac.deployments.domain import Deployment

SECONDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)


class Figures:
    """Told of events that are committed."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        registry = registry or CollectorRegistry()
        self.steps = Histogram(
            "deployment_step_seconds",
            "From a step's first attempt to the end of this one",
            ("step", "outcome"),
            buckets=SECONDS,
            registry=registry,
        )
        self.ended = Counter("deployments_ended", "Deployments that ended", ("outcome", "code"), registry=registry)

    def count(self, events: Sequence[DeploymentEvent], after: Deployment) -> None:
        for event in events:
            match event:
                case StepCompleted(step=step, at=at) | StepFailed(step=step, at=at):
                    outcome = "completed" if isinstance(event, StepCompleted) else "failed"
                    seconds = (at - after.steps[step].started_at).total_seconds()
                    self.steps.labels(step.value, outcome).observe(max(seconds, 0.0))
                case DeploymentFailed(code=code) | DeploymentCancelled(code=code) | DeploymentRejected(code=code):
                    self.ended.labels(after.status, code).inc()
                case DeploymentCompleted():
                    self.ended.labels("succeeded", "").inc()
                case _:
                    pass  # a figure is kept of these only
