from datetime import UTC, datetime
from uuid import UUID

from pac.contracts.runtime_notifier import RuntimeFailed, RuntimeReady
from pac.runtime_notifier.domain import DELIVERY, AnswerFailed, AnswerReady, Asked
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
