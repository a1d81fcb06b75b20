"""What happened to a delivery and to an app's secrets, for the rows kept beside this."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from pac.contracts.topics import ServiceName
from pac.runtime_notifier.domain import DELIVERY, AnswerFailed, AnswerReady, Asked, TellAway, TellBack
from pac.runtime_notifier.secrets.domain import SECRETS, ChangeSecrets
from pac.testkit.golden import Story

NOON = datetime(2026, 11, 23, 12, 0, 0, 250_000, tzinfo=UTC)
LATER = NOON + timedelta(minutes=2)
OWNER = UUID("5b0f1c52-7f1e-4f6f-9d0e-6a1f4c3b2a10")
AGENT = UUID("c6a3c8f4-20cf-4a2b-8e35-9c1d7a54e011")
DEPLOYMENT = UUID("0d4e9a3b-6f28-4c71-8b5a-e7f1c2d3a415")
REASON = "Runtime answered 500: agent did not start"


def failed(attempt: int, *, retriable: bool) -> AnswerFailed:
    asked = Asked(attempt, closed=False)
    return AnswerFailed(OWNER, DEPLOYMENT, AGENT, attempt, asked, REASON, retriable, NOON)


def ready(attempt: int) -> AnswerReady:
    return AnswerReady(OWNER, DEPLOYMENT, AGENT, attempt, Asked(attempt, closed=False), LATER)


def away(attempt: int) -> TellAway:
    return TellAway(OWNER, DEPLOYMENT, AGENT, attempt, Asked(attempt, closed=False), NOON, NOON + timedelta(seconds=5))


def back(attempt: int) -> TellBack:
    return TellBack(OWNER, DEPLOYMENT, AGENT, attempt, Asked(attempt, closed=False), NOON + timedelta(seconds=30))


def delivery(*commands: object) -> Story:
    return Story(ServiceName.RUNTIME_NOTIFIER, DELIVERY, DEPLOYMENT, commands)


def changed(*names: str) -> ChangeSecrets:
    return ChangeSecrets(OWNER, AGENT, frozenset(names), NOON)


STORIES = {
    "delivery-ready": delivery(ready(1)),
    "delivery-to-a-runtime-that-is-away": delivery(away(1)),
    "delivery-ready-after-an-absence": delivery(away(1), back(1), ready(1)),
    "delivery-ready-at-last": delivery(failed(1, retriable=True), failed(2, retriable=True), ready(3)),
    "delivery-failed": delivery(failed(1, retriable=False)),
    "secrets-changed": Story(
        ServiceName.RUNTIME_NOTIFIER,
        SECRETS,
        AGENT,
        (changed("API_TOKEN", "LOG_LEVEL"), changed(), changed("API_TOKEN")),
    ),
}
