"""An order of the hub on its way from the consumer to a worker: durable, with the cause it came from."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Row

from pac.contracts.base import Event, Step
from pac.contracts.deployments import StepStarted
from pac.eventlog import Cause, Message
from pac.packages.described import loaded
from pac.packages.domain.submission import Bad, Described, Finding, Stored, Valid
from pac.packages.domain.versions import Status


@dataclass(frozen=True)
class Order:
    """One attempt of one step. Its key is its own: a later attempt is another order and is answered for itself."""

    deployment_id: UUID
    app_id: UUID
    step: Step
    attempt: int
    cause: Cause

    @classmethod
    def of(cls, message: Message[Event], step: Step, event: StepStarted) -> "Order":
        return cls(event.deployment_id, event.agent_app_id, step, event.attempt, message.cause)

    @classmethod
    def read(cls, payload: dict[str, Any]) -> "Order":
        return cls(
            UUID(payload["deployment_id"]),
            UUID(payload["app_id"]),
            Step(payload["step"]),
            int(payload["attempt"]),
            cause_read(payload),
        )

    @property
    def key(self) -> str:
        return f"{self.deployment_id}/{self.step.value}/{self.attempt}"

    @property
    def payload(self) -> dict[str, Any]:
        return {
            "deployment_id": str(self.deployment_id),
            "app_id": str(self.app_id),
            "step": self.step.value,
            "attempt": self.attempt,
            **cause_written(self.cause),
        }


def cause_written(cause: Cause) -> dict[str, Any]:
    """As part of a payload."""
    return {
        "actor": cause.actor,
        "correlation_id": str(cause.correlation_id),
        "causation_id": str(cause.causation_id) if cause.causation_id else None,
        "traceparent": cause.traceparent,
    }


def cause_read(payload: dict[str, Any]) -> Cause:
    causation = payload["causation_id"]
    return Cause(
        actor=payload["actor"],
        correlation_id=UUID(payload["correlation_id"]),
        causation_id=UUID(causation) if causation else None,
        traceparent=payload["traceparent"],
    )


def known_finding(package: Row[Any], step: Step) -> Finding | None:
    """The answer that an earlier attempt, or another deployment of the package, has found already."""
    if package.status == Status.REJECTED:
        return Bad(loaded(package.problems))
    if step.value not in package.done:
        return None
    match step:
        case Step.VALIDATE_PACKAGE:
            return Valid()
        case Step.UPLOAD_TO_S3:
            return Stored(package.object_key)
        case Step.GENERATE_METADATA:
            return Described()
        case Step.NOTIFY_RUNTIME | Step.FINALIZE:
            raise ValueError(f"{step} is not a step of packages")
