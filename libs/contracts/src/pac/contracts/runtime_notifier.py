"""Facts published by runtime-notifier: what runtimes answered, and what changed of secrets and hooks."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from pac.contracts.base import Event, Line, Step


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


class SecretsChanged(Event):
    type: Literal["SecretsChanged"] = "SecretsChanged"
    agent_app_id: UUID
    names: tuple[str, ...]
    secrets_version: int


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


DeliveryEvent = Annotated[RuntimeReady | RuntimeFailed, Field(discriminator="type")]
RuntimeNotifierEvent = Annotated[
    RuntimeReady | RuntimeFailed | SecretsChanged | WebhookDelivered | WebhookExhausted | WebhookDisabled,
    Field(discriminator="type"),
]
