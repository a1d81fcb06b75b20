"""Facts published by deployments, the hub: it alone orders steps, retries, deadlines and ends."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from pac.contracts.base import Event, Line, Moment, Outcome, SealedEnvironment, Sha256, Source, Step


class DeploymentQueued(Event):
    """`at` is the submission's time. Everything a later step needs of the package stands here, for the whole stream."""

    type: Literal["DeploymentQueued"] = "DeploymentQueued"
    deployment_id: UUID
    agent_app_id: UUID
    package_id: UUID
    package_version: str
    sha256: Sha256
    size_bytes: int
    object_key: str
    source: Source
    billable: bool
    no: int
    done: tuple[Step, ...] = ()
    environment: SealedEnvironment | None = None
    force_overwrite: bool = False
    retry_of: UUID | None = None


class DeploymentFunded(Event):
    """The hub has heard that the credits are held: the deployment waits for a slot until `due_at`."""

    type: Literal["DeploymentFunded"] = "DeploymentFunded"
    deployment_id: UUID
    due_at: Moment


class DeploymentStarted(Event):
    """A slot was free. `release` counts per app, with the slot: a lower one never replaces a higher one.

    `pinned`: its app is, so it will not be given to a runtime nor become current.
    """

    type: Literal["DeploymentStarted"] = "DeploymentStarted"
    deployment_id: UUID
    agent_app_id: UUID
    release: int
    pinned: bool = False


class StepStarted(Event):
    """An order to a worker, with all that it needs. `object_key` is where the package's bytes are at this step."""

    type: Literal["StepStarted"] = "StepStarted"
    deployment_id: UUID
    step: Step
    attempt: int
    due_at: Moment
    agent_app_id: UUID
    package_id: UUID
    package_version: str
    sha256: Sha256
    size_bytes: int
    object_key: str
    release: int
    environment: SealedEnvironment | None = None
    force_overwrite: bool = False


class StepCompleted(Event):
    type: Literal["StepCompleted"] = "StepCompleted"
    deployment_id: UUID
    step: Step
    attempt: int
    object_key: str | None = None  # after upload_to_s3: where the bytes are from now on


class StepFailed(Event):
    """Closes its attempt: a success of it that comes later is old. `next_at`: when another attempt starts, if any."""

    type: Literal["StepFailed"] = "StepFailed"
    deployment_id: UUID
    step: Step
    attempt: int
    reason: Line
    retriable: bool
    next_at: Moment | None = None


class StepWaiting(Event):
    """The attempt goes on, but its worker waits for somebody else since `since`. Its deadline stays."""

    type: Literal["StepWaiting"] = "StepWaiting"
    deployment_id: UUID
    step: Step
    attempt: int
    waits_for: Literal["runtime"] = "runtime"
    since: Moment


class StepResumed(Event):
    """After StepWaiting, in the same attempt: it waits no longer."""

    type: Literal["StepResumed"] = "StepResumed"
    deployment_id: UUID
    step: Step
    attempt: int


class DeploymentAborted(Event):
    """The end has begun: billing releases, packages withdraws, the notifier stops."""

    type: Literal["DeploymentAborted"] = "DeploymentAborted"
    deployment_id: UUID
    agent_app_id: UUID
    package_id: UUID
    outcome: Literal[Outcome.FAILED, Outcome.CANCELLED, Outcome.REJECTED]
    code: str
    error: Line
    error_details: tuple[Line, ...] = ()
    step: Step | None = None
    required: int | None = None
    available: int | None = None
    due_at: Moment  # when the answers of billing and packages are asked for again
    repeated: int = 0


class DeploymentPartSettled(Event):
    """One half of an abort is done; the deployment ends when both are: credits given back, package withdrawn."""

    type: Literal["DeploymentPartSettled"] = "DeploymentPartSettled"
    deployment_id: UUID
    part: Literal["credits", "package"]


class DeploymentFailed(Event):
    type: Literal["DeploymentFailed"] = "DeploymentFailed"
    deployment_id: UUID
    agent_app_id: UUID
    package_id: UUID
    code: str
    error: Line


class DeploymentCancelled(Event):
    type: Literal["DeploymentCancelled"] = "DeploymentCancelled"
    deployment_id: UUID
    agent_app_id: UUID
    package_id: UUID
    code: str
    error: Line


class DeploymentRejected(Event):
    type: Literal["DeploymentRejected"] = "DeploymentRejected"
    deployment_id: UUID
    agent_app_id: UUID
    package_id: UUID
    code: str
    error: Line
    required: int
    available: int


class DeploymentCompleted(Event):
    """Stored, running, captured. `current`: it became its app's release (false while the app is pinned)."""

    type: Literal["DeploymentCompleted"] = "DeploymentCompleted"
    deployment_id: UUID
    agent_app_id: UUID
    package_id: UUID
    package_version: str
    sha256: Sha256
    size_bytes: int
    object_key: str
    release: int
    no: int
    current: bool = True
    environment: SealedEnvironment | None = None


class AppPinned(Event):
    """A rollback has completed: what is deployed from now on does not become current, until AppReleased."""

    type: Literal["AppPinned"] = "AppPinned"
    agent_app_id: UUID
    deployment_id: UUID


class AppReleased(Event):
    """What is deployed from now on becomes current again."""

    type: Literal["AppReleased"] = "AppReleased"
    agent_app_id: UUID


class AppStopped(Event):
    """No release up to `release` shall run; a higher one will."""

    type: Literal["AppStopped"] = "AppStopped"
    agent_app_id: UUID
    release: int = 0


DeploymentEvent = Annotated[
    DeploymentQueued
    | DeploymentFunded
    | DeploymentStarted
    | StepStarted
    | StepCompleted
    | StepFailed
    | StepWaiting
    | StepResumed
    | DeploymentAborted
    | DeploymentPartSettled
    | DeploymentFailed
    | DeploymentCancelled
    | DeploymentRejected
    | DeploymentCompleted,
    Field(discriminator="type"),
]
AppEvent = Annotated[AppPinned | AppReleased | AppStopped, Field(discriminator="type")]
DeploymentsEvent = Annotated[
    DeploymentQueued
    | DeploymentFunded
    | DeploymentStarted
    | StepStarted
    | StepCompleted
    | StepFailed
    | StepWaiting
    | StepResumed
    | DeploymentAborted
    | DeploymentPartSettled
    | DeploymentFailed
    | DeploymentCancelled
    | DeploymentRejected
    | DeploymentCompleted
    | AppPinned
    | AppReleased
    | AppStopped,
    Field(discriminator="type"),
]
