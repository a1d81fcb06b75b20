from datetime import UTC, datetime
from uuid import UUID, uuid5

import pytest

from pac.billing.domain import (
    ACCOUNT,
    HOLD,
    BrokenLaw,
    Capture,
    Grant,
    Release,
    Reserve,
    SignUp,
    sign_up_grant,
)
from pac.contracts.billing import (
    CreditsCaptured,
    CreditsGranted,
    CreditsRefused,
    CreditsReleased,
    CreditsReserved,
)
from pac.contracts.errors import ErrorCode
from pac.testkit.given import given

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
OWNER = UUID(int=1)
ID = UUID(int=2)
GRANT_ID = uuid5(OWNER, "a grant")

RESERVED = CreditsReserved(account_id=OWNER, at=NOON, deployment_id=ID, amount=3)
REFUSED = CreditsRefused(account_id=OWNER, at=NOON, deployment_id=ID, required=3, available=2)
CAPTURED = CreditsCaptured(account_id=OWNER, at=NOON, deployment_id=ID, amount=3, attempt=1)
RELEASED = CreditsReleased(account_id=OWNER, at=NOON, deployment_id=ID, amount=3)
CAPTURE = Capture(OWNER, ID, 1, NOON)
RELEASE = Release(OWNER, ID, NOON)
SIGNED_UP = CreditsGranted(account_id=OWNER, at=NOON, grant_id=sign_up_grant(OWNER), amount=10, kind="signup")


def reserve(amount: int, available: int) -> Reserve:
    return Reserve(OWNER, ID, amount, available, NOON)


def grant(amount: int, available: int = 0) -> Grant:
    return Grant(OWNER, GRANT_ID, amount, available, NOON)


def granted(amount: int) -> CreditsGranted:
    return CreditsGranted(account_id=OWNER, at=NOON, grant_id=GRANT_ID, amount=amount, kind="operator")


def test_enough_credits_are_held() -> None:
    given(HOLD).when(reserve(3, available=3)).then(RESERVED)


def test_one_credit_too_few_is_a_refusal_that_names_both_figures() -> None:
    given(HOLD).when(reserve(3, available=2)).then(REFUSED)


def test_what_costs_nothing_is_held_on_an_empty_account_too() -> None:
    given(HOLD).when(reserve(0, available=0)).then(RESERVED.model_copy(update={"amount": 0}))


@pytest.mark.parametrize("history", [(RESERVED,), (REFUSED,), (RESERVED, CAPTURED), (RESERVED, RELEASED)])
def test_a_deployment_is_decided_once(history: tuple[CreditsReserved, ...]) -> None:
    given(HOLD, *history).when(reserve(3, available=100)).then()


def test_finalize_captures_the_whole_hold() -> None:
    given(HOLD, RESERVED).when(CAPTURE).then(CAPTURED)


def test_a_later_attempt_of_finalize_captures_nothing_more() -> None:
    given(HOLD, RESERVED, CAPTURED).when(Capture(OWNER, ID, 2, NOON)).then()


def test_an_abort_releases_the_whole_hold() -> None:
    given(HOLD, RESERVED).when(RELEASE).then(RELEASED)


def test_an_abort_said_again_releases_nothing_more() -> None:
    given(HOLD, RESERVED, RELEASED).when(RELEASE).then()


def test_an_abort_of_a_refused_deployment_has_nothing_to_release() -> None:
    given(HOLD, REFUSED).when(RELEASE).then()


@pytest.mark.parametrize("command", [CAPTURE, RELEASE])
def test_news_about_an_unknown_hold_is_too_early(command: Capture | Release) -> None:
    given(HOLD).when(command).then_too_early()


@pytest.mark.parametrize(
    ("history", "command"),
    [((RESERVED, RELEASED), CAPTURE), ((REFUSED,), CAPTURE), ((RESERVED, CAPTURED), RELEASE)],
)
def test_a_second_end_of_another_kind_is_set_aside_for_a_person(
    history: tuple[CreditsReserved, ...], command: Capture | Release
) -> None:
    with pytest.raises(BrokenLaw, match=str(ID)):
        given(HOLD, *history).when(command).then()


def test_a_free_hold_is_captured_as_any_other() -> None:
    free = RESERVED.model_copy(update={"amount": 0})
    given(HOLD, free).when(CAPTURE).then(CAPTURED.model_copy(update={"amount": 0}))


def test_an_account_signs_up_once() -> None:
    given(ACCOUNT).when(SignUp(OWNER, 10, NOON)).then(SIGNED_UP)
    given(ACCOUNT, SIGNED_UP).when(SignUp(OWNER, 10, NOON)).then()


def test_no_sign_up_credits_are_no_event() -> None:
    given(ACCOUNT).when(SignUp(OWNER, 0, NOON)).then()


def test_an_operator_grants() -> None:
    given(ACCOUNT, SIGNED_UP).when(grant(5)).then(granted(5))


def test_the_same_grant_twice_is_one() -> None:
    given(ACCOUNT, granted(5)).when(grant(5)).then()


def test_a_correction_takes_what_is_available_and_no_more() -> None:
    given(ACCOUNT, SIGNED_UP).when(grant(-10, available=10)).then(granted(-10))
    refused = given(ACCOUNT, SIGNED_UP).when(grant(-11, available=10)).then_refused(ErrorCode.CONFLICT)
    assert refused.fields == {"available": 10}


def test_a_grant_of_nothing_is_refused() -> None:
    given(ACCOUNT).when(grant(0)).then_refused(ErrorCode.INVALID_REQUEST)
