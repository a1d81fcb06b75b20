"""Work for the world outside, as it is kept in the durable queue: a wire to give to the runtime, one to stop, or one
that was given up and is still to be looked at.
"""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, JsonValue

from pac.contracts.base import SealedEnvironment, Sha256
from pac.contracts.deployments import DeploymentCompleted, StepStarted
from pac.eventlog import Cause
from pac.runtime_notifier.running import DEFAULT_RUNTIME

QUEUE = "runtime"


class Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Facts(Stored):
    """What is needed to give a deployment's package again at any later time. No value of an environment is in it."""

    account_id: UUID
    package_id: UUID | None = None  # not kept of deliveries before 2026-11-25
    package_version: str
    sha256: Sha256
    object_key: str
    environment: SealedEnvironment | None = None
    force_overwrite: bool = False

    @classmethod
    def of(cls, event: StepStarted | DeploymentCompleted) -> "Facts":
        return cls(
            account_id=event.account_id,
            package_id=event.package_id,
            package_version=event.package_version,
            sha256=event.sha256,
            object_key=event.object_key,
            environment=event.environment,
            force_overwrite=isinstance(event, StepStarted) and event.force_overwrite,
        )


class Because(Stored):
    """The cause, recorded with what the errand leads to."""

    actor: str
    correlation_id: UUID
    causation_id: UUID | None = None
    traceparent: str | None = None

    @classmethod
    def of(cls, cause: Cause) -> "Because":
        return cls(
            actor=cause.actor,
            correlation_id=cause.correlation_id,
            causation_id=cause.causation_id,
            traceparent=cause.traceparent,
        )

    @property
    def cause(self) -> Cause:
        return Cause(self.actor, self.correlation_id, self.causation_id, self.traceparent)


class Errand(Stored):
    """`due_at`: when the hub stops waiting; for what is given again, when the notifier does. `runtime`: the wire's."""

    kind: Literal["give", "stop", "look"]
    app_id: UUID
    deployment_id: UUID
    wire_id: str
    because: Because
    due_at: AwareDatetime | None = None
    runtime: str = DEFAULT_RUNTIME

    @property
    def key(self) -> str:
        return self.wire_id if self.kind == "give" else f"{self.kind}:{self.wire_id}"

    @property
    def is_again(self) -> bool:
        """Of the notifier's own accord."""
        return self.wire_id.startswith(f"{self.deployment_id}-r")

    def payload(self) -> dict[str, JsonValue]:
        payload: dict[str, JsonValue] = self.model_dump(mode="json")
        return payload

    def overdue(self, now: datetime) -> bool:
        return self.due_at is not None and now >= self.due_at
