"""What an endpoint is told: thin, bounded, and nothing that is not everybody's."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from pac.contracts.base import LINE_MAX_CHARACTERS, SealedEnvironment
from pac.contracts.bodies.webhooks import NoticeType
from pac.runtime_notifier.webhooks.notices import Noticed, disabled_notice, notice_of
from pac.testkit.webhooks import Tenant, cancelled, completed, failed, queued, rejected, started

TENANT, DEPLOYMENT = Tenant(UUID(int=1), UUID(int=2)), UUID(int=3)
IDS = {"deployment_id": str(DEPLOYMENT), "agent_app_id": str(TENANT.app_id)}
PACKAGE = {"package_id": str(DEPLOYMENT), "version": "1.0.0"}
LARGEST_BYTES = 20_000  # what Standard Webhooks advises


@pytest.mark.parametrize(
    ("event", "type_", "facts"),
    [
        (queued(TENANT, DEPLOYMENT), "deployment.queued", {**PACKAGE, "source": "upload"}),
        (started(TENANT, DEPLOYMENT), "deployment.started", {"release": 1}),
        (completed(TENANT, DEPLOYMENT), "deployment.completed", {**PACKAGE, "release": 1, "current": True}),
        (
            failed(TENANT, DEPLOYMENT),
            "deployment.failed",
            {"package_id": str(DEPLOYMENT), "error": "Runtime answered 500", "error_code": "runtime_failed"},
        ),
        (
            cancelled(TENANT, DEPLOYMENT),
            "deployment.cancelled",
            {"package_id": str(DEPLOYMENT), "error": "Deployment was cancelled", "error_code": "cancelled"},
        ),
        (
            rejected(TENANT, DEPLOYMENT),
            "deployment.rejected",
            {
                "package_id": str(DEPLOYMENT),
                "error": "Insufficient credits",
                "error_code": "insufficient_credits",
                "required": 5,
                "available": 3,
            },
        ),
    ],
)
def test_each_milestone_is_told_with_these_facts(event: Noticed, type_: str, facts: dict[str, object]) -> None:
    notice = notice_of(event)
    told = json.loads(notice.body())
    assert told["type"] == type_ == NoticeType(type_).value
    assert datetime.fromisoformat(told["timestamp"]) == event.at
    assert told["data"] == {**IDS, **facts}
    assert (notice.subject, notice.app_id, notice.account_id) == (DEPLOYMENT, TENANT.app_id, TENANT.account_id)


def test_nothing_of_where_the_bytes_and_the_environment_lie_is_told() -> None:
    environment = SealedEnvironment(object_key="sealed/x", key_id="k", names=("API_TOKEN",), fingerprints={"A": "b"})
    for event in (queued(TENANT, DEPLOYMENT), completed(TENANT, DEPLOYMENT)):
        body = notice_of(event.model_copy(update={"environment": environment})).body()
        for hidden in ("sealed/x", "API_TOKEN", "packages/", "fingerprint", "sha256"):
            assert hidden not in body


def test_the_longest_error_stays_far_below_what_standard_webhooks_advises() -> None:
    event = failed(TENANT, DEPLOYMENT).model_copy(update={"error": "\U0001f600" * LINE_MAX_CHARACTERS})
    assert len(notice_of(event).body().encode()) < LARGEST_BYTES / 2


def test_an_endpoint_that_was_disabled_is_a_notice_for_the_accounts_others() -> None:
    at = datetime(2026, 11, 25, tzinfo=UTC)
    notice = disabled_notice(TENANT.account_id, TENANT.app_id, UUID(int=9), "The endpoint answered 410 Gone", at)
    assert notice.app_id is None
    assert json.loads(notice.body()) == {
        "type": "webhook.disabled",
        "timestamp": "2026-11-25T00:00:00Z",
        "data": {
            "webhook_id": str(UUID(int=9)),
            "agent_app_id": str(TENANT.app_id),
            "reason": "The endpoint answered 410 Gone",
        },
    }
