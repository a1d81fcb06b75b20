"""What may be asked of a deployment: news of the other services as wishes, users' wishes, and the clock's."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pac.contracts.base import Step
from pac.contracts.packages import PackageSubmitted


@dataclass(frozen=True)
class QueueDeployment:
    submission: PackageSubmitted

    @property
    def deployment_id(self) -> UUID:
        return self.submission.deployment_id


@dataclass(frozen=True)
class FundDeployment:
    """Its credits are held."""

    deployment_id: UUID
    at: datetime


@dataclass(frozen=True)
class RefuseCredits:
    deployment_id: UUID
    required: int
    available: int
    at: datetime


@dataclass(frozen=True)
class StartDeployment:
    """A slot is free; `release` is the app's next one, `pinned` whether the app is.

    All are the caller's to know, under the lock of the slots.
    """

    deployment_id: UUID
    release: int
    at: datetime
    pinned: bool = False


@dataclass(frozen=True)
class CompleteStep:
    """`object_key`: after upload_to_s3, where the bytes are from now on."""

    deployment_id: UUID
    step: Step
    attempt: int
    at: datetime
    object_key: str | None = None


@dataclass(frozen=True)
class FailStep:
    deployment_id: UUID
    step: Step
    attempt: int
    reason: str
    retriable: bool
    at: datetime


@dataclass(frozen=True)
class HoldUpStep:
    """The runtime gives no usable answer, since `since`."""

    deployment_id: UUID
    step: Step
    attempt: int
    since: datetime
    at: datetime


@dataclass(frozen=True)
class ResumeStep:
    """The runtime answers again."""

    deployment_id: UUID
    step: Step
    attempt: int
    at: datetime


@dataclass(frozen=True)
class RejectPackage:
    """The package is bad, for every attempt."""

    deployment_id: UUID
    problems: tuple[str, ...]
    at: datetime


@dataclass(frozen=True)
class CompleteDeployment:
    """Its credits are captured; `attempt` is the one that asked, and does not matter."""

    deployment_id: UUID
    attempt: int
    at: datetime


@dataclass(frozen=True)
class SettleCredits:
    """Its hold is released."""

    deployment_id: UUID
    at: datetime


@dataclass(frozen=True)
class SettlePackage:
    """Its submission is closed at packages."""

    deployment_id: UUID
    at: datetime


@dataclass(frozen=True)
class CancelDeployment:
    deployment_id: UUID
    at: datetime


@dataclass(frozen=True)
class OvertakeDeployment:
    """A newer submission of the app has completed."""

    deployment_id: UUID
    at: datetime


@dataclass(frozen=True)
class AbandonDeployment:
    """Its app was deleted."""

    deployment_id: UUID
    at: datetime


@dataclass(frozen=True)
class CheckDeadline:
    """Do what is due by now: fail a step, begin its next attempt, ask again, end the wait for a slot."""

    deployment_id: UUID
    at: datetime


Command = (
    QueueDeployment
    | FundDeployment
    | RefuseCredits
    | StartDeployment
    | CompleteStep
    | FailStep
    | HoldUpStep
    | ResumeStep
    | RejectPackage
    | CompleteDeployment
    | SettleCredits
    | SettlePackage
    | CancelDeployment
    | OvertakeDeployment
    | AbandonDeployment
    | CheckDeadline
)
