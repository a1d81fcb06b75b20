"""What an endpoint is told: a thin JSON object of what everybody who may read the deployment sees. Pure.

Nothing secret is in it, and it stays far below the 20 kB that Standard Webhooks advises.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, assert_never
from uuid import UUID, uuid5

import orjson

from pac.contracts.base import iso
from pac.contracts.bodies.webhooks import NoticeType
from pac.contracts.deployments import (
    DeploymentCancelled,
    DeploymentCompleted,
    DeploymentFailed,
    DeploymentQueued,
    DeploymentRejected,
    DeploymentStarted,
)

Noticed = (
    DeploymentQueued
    | DeploymentStarted
    | DeploymentCompleted
    | DeploymentFailed
    | DeploymentCancelled
    | DeploymentRejected
)


@dataclass(frozen=True)
class Notice:
    """`subject`: a deployment, or the endpoint it is about; order is kept within it. `app_id`: whose endpoints hear."""

    type: NoticeType
    account_id: UUID
    app_id: UUID | None
    subject: UUID
    at: datetime
    data: Mapping[str, Any]

    def body(self) -> str:
        """The JSON that is sent, the same bytes at every attempt, since the signature is over them."""
        return orjson.dumps({"type": self.type.value, "timestamp": iso(self.at), "data": self.data}).decode()


def notice_of(event: Noticed) -> Notice:
    kind, facts = _told(event)
    data = {"deployment_id": event.deployment_id, "agent_app_id": event.agent_app_id, **facts}
    return Notice(kind, event.account_id, event.agent_app_id, event.deployment_id, event.at, data)


def _told(event: Noticed) -> tuple[NoticeType, dict[str, Any]]:
    match event:
        case DeploymentQueued():
            facts = {"package_id": event.package_id, "version": event.package_version, "source": event.source}
            return NoticeType.DEPLOYMENT_QUEUED, facts
        case DeploymentStarted():
            return NoticeType.DEPLOYMENT_STARTED, {"release": event.release}
        case DeploymentCompleted():
            facts = {"package_id": event.package_id, "version": event.package_version}
            return NoticeType.DEPLOYMENT_COMPLETED, {**facts, "release": event.release, "current": event.current}
        case DeploymentFailed():
            return NoticeType.DEPLOYMENT_FAILED, _fault(event)
        case DeploymentCancelled():
            return NoticeType.DEPLOYMENT_CANCELLED, _fault(event)
        case DeploymentRejected():
            credit = {"required": event.required, "available": event.available}
            return NoticeType.DEPLOYMENT_REJECTED, {**_fault(event), **credit}
        case _:
            assert_never(event)


def _fault(event: DeploymentFailed | DeploymentCancelled | DeploymentRejected) -> dict[str, Any]:
    return {"package_id": event.package_id, "error": event.error, "error_code": event.code}


def disabled_notice(account_id: UUID, app_id: UUID, webhook_id: UUID, reason: str, at: datetime) -> Notice:
    """For the account's other endpoints, whatever app they are of."""
    data = {"webhook_id": webhook_id, "agent_app_id": app_id, "reason": reason}
    return Notice(NoticeType.WEBHOOK_DISABLED, account_id, None, webhook_id, at, data)


def message_id(webhook_id: UUID, event_id: UUID) -> str:
    """The header `webhook-id`: the same for every attempt, of every process, at every redelivery."""
    return f"msg_{uuid5(webhook_id, str(event_id)).hex}"
