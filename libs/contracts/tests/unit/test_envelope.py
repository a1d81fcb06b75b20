from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pac.contracts.base import LINE_MAX_CHARACTERS, one_line
from pac.contracts.billing import CreditsReserved
from pac.contracts.envelope import Envelope, NotAnEvent, from_kafka, key_of, to_kafka
from pac.contracts.packages import PackageRejected, Problem
from pac.contracts.topics import EVENTS_OF, ServiceName

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DEPLOYMENT = UUID(int=7)


def envelope(
    version: int = 1, traceparent: str | None = None, causation: UUID | None = None
) -> Envelope[CreditsReserved]:
    return Envelope(
        id=uuid4(),
        source="billing",
        stream=f"hold-{DEPLOYMENT}",
        version=version,
        event=CreditsReserved(account_id=UUID(int=1), at=NOON, deployment_id=DEPLOYMENT, amount=2),
        actor="key-1",
        correlation_id=uuid4(),
        causation_id=causation,
        traceparent=traceparent,
    )


@given(version=st.integers(1, 2**40), traced=st.booleans(), caused=st.booleans())
def test_what_goes_to_kafka_comes_back_the_same(version: int, *, traced: bool, caused: bool) -> None:
    sent = envelope(version, "00-1-2-01" if traced else None, uuid4() if caused else None)
    key, value, headers = to_kafka(sent)
    assert key == str(DEPLOYMENT).encode()
    assert from_kafka(value, headers, EVENTS_OF[ServiceName.BILLING]) == sent


def test_a_message_carries_the_attributes_of_cloudevents() -> None:
    _, _, headers = to_kafka(envelope())
    assert {"ce_id", "ce_type", "ce_source", "ce_subject", "ce_time", "ce_specversion"} <= {name for name, _ in headers}
    assert dict(headers)["ce_time"] == b"2026-11-23T12:00:00Z"


def test_a_message_without_its_headers_is_no_event() -> None:
    _, value, headers = to_kafka(envelope())
    for missing in ("ce_id", "ce_subject", "ce_sequence", "ce_actor"):
        with pytest.raises(NotAnEvent):
            from_kafka(value, [pair for pair in headers if pair[0] != missing], EVENTS_OF[ServiceName.BILLING])


def test_a_header_that_names_another_type_is_refused() -> None:
    _, value, headers = to_kafka(envelope())
    lying = [(name, b"CreditsReleased" if name == "ce_type" else text) for name, text in headers]
    with pytest.raises(NotAnEvent):
        from_kafka(value, lying, EVENTS_OF[ServiceName.BILLING])


def test_fields_added_by_a_later_version_are_ignored() -> None:
    _, value, headers = to_kafka(envelope())
    later = value.replace(b'"amount":2', b'"amount":2,"currency":"credits"')
    assert later != value
    assert from_kafka(later, headers, EVENTS_OF[ServiceName.BILLING]).event.amount == 2


def test_streams_of_one_deployment_share_one_key() -> None:
    streams = [f"{category}-{DEPLOYMENT}" for category in ("submission", "deployment", "hold", "delivery")]
    assert {key_of(stream) for stream in streams} == {str(DEPLOYMENT)}


@given(st.text(max_size=3000))
def test_any_text_becomes_one_bounded_line(text: str) -> None:
    line = one_line(text)
    assert len(line.splitlines()) <= 1
    assert len(line) <= LINE_MAX_CHARACTERS
    assert "\x00" not in line
    line.encode()


def test_times_are_kept_in_utc() -> None:
    event = CreditsReserved(
        account_id=UUID(int=1), at=NOON.astimezone(timezone(timedelta(hours=9))), deployment_id=DEPLOYMENT, amount=1
    )
    assert '"at":"2026-11-23T12:00:00Z"' in event.model_dump_json()


def test_text_from_outside_is_made_one_line_inside_events() -> None:
    event = PackageRejected(
        account_id=UUID(int=1),
        at=NOON,
        deployment_id=DEPLOYMENT,
        package_id=UUID(int=2),
        attempt=1,
        problems=(Problem(code="unsafe_name", message="bad\x00name\nevil", entry="a\rb"),),
    )
    assert event.problems[0].message == "bad name evil"
    assert event.problems[0].entry == "a b"
