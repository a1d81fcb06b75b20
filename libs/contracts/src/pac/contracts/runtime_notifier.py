"""Facts published by runtime-notifier: what runtimes answered, and what changed of secrets and hooks."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from pac.contracts.base import Event, Line, Moment, Step


class RuntimeReady(Event):
    type: Literal["RuntimeReady"] = "RuntimeReady"
    deployment_id: UUID
    agent_app_id: UUID
    step: Literal[Step.NOTIFY_RUNTIME] = Step.NOTIFY_RUNTIME
    attempt: int


class RuntimeFailed(Event):
    """`reason` is one line without any signed address in it."""

    type: Literal["RuntimeFailed"] = "RuntimeFailed"
    deployment_id: UUID
    agent_app_id: UUID
    step: Literal[Step.NOTIFY_RUNTIME] = Step.NOTIFY_RUNTIME
    attempt: int
    reason: Line
    retriable: bool


class RuntimeAway(Event):
    """The runtime gives no usable answer, since `since`: it is asked until the step's deadline."""

    type: Literal["RuntimeAway"] = "RuntimeAway"
    deployment_id: UUID
    agent_app_id: UUID
    step: Literal[Step.NOTIFY_RUNTIME] = Step.NOTIFY_RUNTIME
    attempt: int
    since: Moment


class RuntimeBack(Event):
    """After RuntimeAway: it answers again, and the deployment is on its way there."""

    type: Literal["RuntimeBack"] = "RuntimeBack"
    deployment_id: UUID
    agent_app_id: UUID
    step: Literal[Step.NOTIFY_RUNTIME] = Step.NOTIFY_RUNTIME
    attempt: int


class SecretsChanged(Event):
    """`redeploys`: the app's `deploy_policy` asks for a new release of what runs, with them."""

    type: Literal["SecretsChanged"] = "SecretsChanged"
    agent_app_id: UUID
    names: tuple[str, ...]
    secrets_version: int
    redeploys: bool = False


class WebhookDelivered(Event):
    type: Literal["WebhookDelivered"] = "WebhookDelivered"
    webhook_id: UUID
    attempt_id: UUID


class WebhookExhausted(Event):
    type: Literal["WebhookExhausted"] = "WebhookExhausted"
    webhook_id: UUID
    attempt_id: UUID


class WebhookDisabled(Event):
    type: Literal["WebhookDisabled"] = "WebhookDisabled"
    webhook_id: UUID
    reason: Line


DeliveryEvent = Annotated[RuntimeReady | RuntimeFailed | RuntimeAway | RuntimeBack, Field(discriminator="type")]
RuntimeNotifierEvent = Annotated[
    RuntimeReady
    | RuntimeFailed
    | RuntimeAway
    | RuntimeBack
    | SecretsChanged
    | WebhookDelivered
    | WebhookExhausted
    | WebhookDisabled,
    Field(discriminator="type"),
]
