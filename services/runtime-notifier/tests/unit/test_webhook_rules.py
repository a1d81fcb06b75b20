"""When an endpoint is tried again, left in peace, and given up."""

from datetime import UTC, datetime, timedelta

import pytest
from multidict import CIMultiDict

from pac.runtime_notifier.settings import Settings
from pac.runtime_notifier.webhooks.rules import (
    Delivered,
    Failed,
    Health,
    Policy,
    outcome_of,
    retry_after_seconds,
)
from pac.servicekit.outgoing import Answer, NoAnswer

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
DAY = 86_400.0
POLICY = Policy(
    retry_seconds=(10.0, 100.0),
    circuit_failures=3,
    pause_seconds=30.0,
    longest_pause_seconds=100.0,
    disable_seconds=DAY,
    retry_after_max_seconds=3600.0,
)
BROKEN = Failed(500, "The endpoint answered 500")


def after(*outcomes: Delivered | Failed, health: Health | None = None) -> Health:
    health = health or Health()
    for outcome in outcomes:
        health = health.after(outcome, NOON, POLICY)
    return health


def test_the_waits_are_those_of_the_schedule_shortened_by_chance() -> None:
    assert POLICY.wait_seconds(1, BROKEN, chance=0.0) == 10.0
    assert POLICY.wait_seconds(2, BROKEN, chance=1.0) == pytest.approx(90.0)
    assert POLICY.wait_seconds(3, BROKEN, chance=0.0) is None


def test_the_default_schedule_lasts_almost_three_days_and_no_longer() -> None:
    waits = Settings.model_fields["webhook_retry_seconds"].default
    assert list(waits) == sorted(waits)
    assert 2.9 * DAY < sum(waits) <= 3 * DAY


def test_what_an_endpoint_asks_for_is_waited_and_no_longer_than_a_limit() -> None:
    assert POLICY.wait_seconds(1, Failed(503, "", 60.0), chance=0.5) == 60.0
    assert POLICY.wait_seconds(1, Failed(503, "", 1.0), chance=0.0) == 10.0
    assert POLICY.wait_seconds(1, Failed(503, "", 10 * DAY), chance=0.0) == 3600.0
    assert after(Failed(429, "", 60.0)).paused_until == NOON + timedelta(seconds=60)
    assert after(Failed(429, "", 10 * DAY)).paused_until == NOON + timedelta(hours=1)
    assert after(Failed(500, "", 60.0)).paused_until is None


def test_failures_in_a_row_open_the_circuit_for_pauses_that_double_and_a_success_closes_it() -> None:
    assert not after(BROKEN, BROKEN).is_open(POLICY)
    pauses = [after(*[BROKEN] * count).paused_until for count in range(1, 7)]
    assert pauses == [None, None, *(NOON + timedelta(seconds=seconds) for seconds in (30, 60, 100, 100))]
    assert after(BROKEN, BROKEN, BROKEN).is_open(POLICY)
    assert after(BROKEN, BROKEN, BROKEN, Delivered(200)) == Health()
    assert after(*[BROKEN] * 5000).paused_until == NOON + timedelta(seconds=100)


def test_an_endpoint_is_given_up_after_a_whole_span_without_a_success() -> None:
    failing = Health(failures=5, failing_since=NOON)
    assert failing.after(BROKEN, NOON, POLICY).failing_since == NOON
    assert failing.why_disabled(BROKEN, NOON + timedelta(seconds=DAY - 1), POLICY) is None
    reason = failing.why_disabled(BROKEN, NOON + timedelta(seconds=DAY), POLICY)
    assert reason == "No delivery has succeeded for 24 hours"
    assert Health().why_disabled(Delivered(200), NOON, POLICY) is None


def test_gone_is_gone_at_once() -> None:
    gone = outcome_of(Answer(410, CIMultiDict()), NOON)
    assert after(gone).why_disabled(gone, NOON, POLICY) == "The endpoint answered 410 Gone"


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_success_is_any_2xx(status: int) -> None:
    assert outcome_of(Answer(status, CIMultiDict()), NOON) == Delivered(status)


@pytest.mark.parametrize("status", [300, 301, 302, 307, 400, 401, 404, 429, 500, 503, 599])
def test_anything_else_is_a_failure_told_in_one_line(status: int) -> None:
    outcome = outcome_of(Answer(status, CIMultiDict({"retry-after": "7"})), NOON)
    assert isinstance(outcome, Failed)
    assert outcome.status == status
    assert outcome.error.startswith(f"The endpoint answered {status}")
    assert outcome.retry_after_seconds == (0.0 if status < 400 else 7.0)


def test_no_answer_has_no_status() -> None:
    assert outcome_of(NoAnswer("did not answer within 15 s"), NOON) == Failed(
        None, "The endpoint did not answer within 15 s"
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120.0),
        (" 5 ", 5.0),
        ("0", 0.0),
        ("Wed, 25 Nov 2026 12:01:00 GMT", 60.0),
        ("Wed, 25 Nov 2026 11:00:00 GMT", 0.0),
        ("Wed, 25 Nov 2026 12:01:00 -0000", 60.0),
        ("", 0.0),
        ("-5", 0.0),
        ("1.5", 0.0),
        ("soon", 0.0),
        ("٣", 0.0),
        ("9" * 400, 999_999_999.0),
        ("Wed, 25 Nov 99999 12:01:00 GMT", 0.0),
    ],
)
def test_retry_after_is_seconds_or_a_date(text: str, seconds: float) -> None:
    assert retry_after_seconds(text, NOON) == seconds
