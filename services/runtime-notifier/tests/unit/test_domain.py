from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from pac.contracts.runtime_notifier import RuntimeAway, RuntimeBack, RuntimeFailed, RuntimeReady
from pac.runtime_notifier.domain import DELIVERY, AnswerFailed, AnswerReady, Asked, TellAway, TellBack
from pac.testkit.given import given

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
OWNER, ID, APP = UUID(int=1), UUID(int=2), UUID(int=3)


def ready(attempt: int) -> RuntimeReady:
    return RuntimeReady(account_id=OWNER, at=NOON, deployment_id=ID, agent_app_id=APP, attempt=attempt)


def failed(attempt: int) -> RuntimeFailed:
    return RuntimeFailed(
        account_id=OWNER,
        at=NOON,
        deployment_id=ID,
        agent_app_id=APP,
        attempt=attempt,
        reason="it broke",
        retriable=True,
    )


def turns_ready(attempt: int, *, asked: int | None = None, closed: bool = False) -> AnswerReady:
    return AnswerReady(OWNER, ID, APP, attempt, Asked(attempt if asked is None else asked, closed), NOON)


def turns_bad(attempt: int, *, asked: int | None = None, closed: bool = False) -> AnswerFailed:
    standing = Asked(attempt if asked is None else asked, closed)
    return AnswerFailed(OWNER, ID, APP, attempt, standing, "it broke", retriable=True, at=NOON)


def test_the_attempt_that_the_hub_waits_for_is_answered() -> None:
    given(DELIVERY).when(turns_ready(1)).then(ready(1))
    given(DELIVERY).when(turns_bad(1)).then(failed(1))


def test_an_attempt_is_answered_once() -> None:
    given(DELIVERY, ready(1)).when(turns_ready(1)).then()
    given(DELIVERY, ready(1)).when(turns_bad(1)).then()
    given(DELIVERY, failed(1)).when(turns_ready(1)).then()


def test_each_attempt_is_owed_an_answer_of_its_own() -> None:
    given(DELIVERY, failed(1)).when(turns_ready(2)).then(ready(2))
    given(DELIVERY, ready(1)).when(turns_ready(2)).then(ready(2))


def test_an_earlier_attempt_that_settles_late_says_nothing() -> None:
    given(DELIVERY).when(turns_ready(1, asked=2)).then()
    given(DELIVERY).when(turns_bad(1, asked=2)).then()


def test_after_the_abort_nothing_is_said() -> None:
    given(DELIVERY).when(turns_ready(1, closed=True)).then()
    given(DELIVERY).when(turns_bad(1, closed=True)).then()


TOLD: dict[str, Any] = {"account_id": OWNER, "at": NOON, "deployment_id": ID, "agent_app_id": APP}


def turns_away(attempt: int, *, asked: int | None = None, closed: bool = False) -> TellAway:
    standing = Asked(attempt if asked is None else asked, closed)
    return TellAway(OWNER, ID, APP, attempt, standing, since=NOON, at=NOON)


def turns_back(attempt: int) -> TellBack:
    return TellBack(OWNER, ID, APP, attempt, Asked(attempt, closed=False), NOON)


def test_away_and_back_are_told_once_and_the_answer_is_still_owed() -> None:
    away, back = RuntimeAway(**TOLD, attempt=1, since=NOON), RuntimeBack(**TOLD, attempt=1)
    given(DELIVERY).when(turns_away(1)).then(away)
    given(DELIVERY, away).when(turns_away(1)).then()
    given(DELIVERY, away).when(turns_back(1)).then(back)
    given(DELIVERY).when(turns_back(1)).then()
    given(DELIVERY, away, back).when(turns_ready(1)).then(ready(1))


def test_away_is_told_of_the_attempt_that_the_hub_waits_for_only() -> None:
    given(DELIVERY).when(turns_away(1, asked=2)).then()
    given(DELIVERY).when(turns_away(1, closed=True)).then()
    given(DELIVERY, failed(1)).when(turns_away(1)).then()
    given(DELIVERY, RuntimeAway(**TOLD, attempt=1, since=NOON)).when(turns_away(2)).then_types(RuntimeAway)
