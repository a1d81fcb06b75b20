"""The bodies of the webhooks' API, and the kinds of notices that an endpoint may be sent."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, Field

from pac.contracts.api import Reply, Request
from pac.contracts.base import Moment, one_line

URL_MAX_CHARACTERS = 2048
DESCRIPTION_MAX_CHARACTERS = 500


class NoticeType(StrEnum):
    """What an endpoint is told of: where a deployment stands, and how it ended."""

    DEPLOYMENT_QUEUED = "deployment.queued"
    DEPLOYMENT_STARTED = "deployment.started"
    DEPLOYMENT_COMPLETED = "deployment.completed"
    DEPLOYMENT_FAILED = "deployment.failed"
    DEPLOYMENT_CANCELLED = "deployment.cancelled"
    DEPLOYMENT_REJECTED = "deployment.rejected"
    WEBHOOK_DISABLED = "webhook.disabled"  # another endpoint of the account was; told to every one, asked or not


def _each_once(types: tuple[NoticeType, ...]) -> tuple[NoticeType, ...]:
    return tuple(one for one in NoticeType if one in types)


Since = Annotated[AwareDatetime, Field(strict=False)]
Id = Annotated[UUID, Field(strict=False)]
Types = Annotated[
    tuple[Annotated[NoticeType, Field(strict=False)], ...],
    Field(min_length=1, max_length=50, strict=False),
    AfterValidator(_each_once),
]


class NewWebhook(Request):
    """`events` left out: all. `from`: a time, or a deployment of the app; what there was since then is sent first."""

    url: Annotated[str, Field(min_length=1, max_length=URL_MAX_CHARACTERS)]
    events: Types | None = None
    description: Annotated[str, AfterValidator(one_line), Field(max_length=DESCRIPTION_MAX_CHARACTERS)] = ""
    since: Annotated[Id | Since | None, Field(alias="from")] = None


class Redeliver(Request):
    """`attempt_id` left out: the newest one."""

    attempt_id: Id | None = None


class Recover(Request):
    """What was noticed from `since` on and before `until` (left out: now), as far as it was not delivered."""

    since: Since
    until: Since | None = None


class WebhookView(Reply):
    """`failing_since`: the first failure since the last success; `paused_until`: nothing is sent before.

    `disabled_reason` is null while it is enabled.
    """

    id: UUID
    url: str
    events: tuple[NoticeType, ...]
    description: str
    created_at: Moment
    failing_since: Moment | None
    paused_until: Moment | None
    disabled_at: Moment | None
    disabled_reason: str | None


class NewWebhookView(WebhookView):
    secret: str


class WebhookReply(Reply):
    webhook: WebhookView


class NewWebhookReply(Reply):
    """The only answer that shows the secret."""

    webhook: NewWebhookView


class WebhooksReply(Reply):
    webhooks: tuple[WebhookView, ...]
    next_cursor: str | None


class WebhookDeletedReply(Reply):
    message: str = "Webhook deleted successfully"


class AttemptView(Reply):
    """`status`: the HTTP status, null without an answer. `error`: one line, null where it was delivered.

    `message_id` is the header `webhook-id`, the same for every attempt of one notice.
    """

    id: UUID
    message_id: str
    type: NoticeType
    deployment_id: UUID | None
    at: Moment
    duration_ms: int
    status: int | None
    delivered: bool
    error: str | None


class AttemptsReply(Reply):
    attempts: tuple[AttemptView, ...]
    next_cursor: str | None


class RequeuedReply(Reply):
    """How many notices are on their way (again)."""

    messages: int
