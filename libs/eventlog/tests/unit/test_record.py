"""The chain of hashes: every byte of what is stored counts."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from pac.contracts.base import Outcome
from pac.contracts.deployments import AppPinned, DeploymentAborted
from pac.contracts.topics import EVENTS_OF
from pac.eventlog.record import EVENT_MAX_BYTES, GENESIS, Head, chained, rows_for
from pac.eventlog.types import Cause, EventTooLarge
from pac.eventlog.verify import first_fault

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STREAM = "appstate-1"
COLUMNS = 7


def stored(count: int) -> list[list[Any]]:
    """Rows as `verify` reads them."""
    pinned = [
        AppPinned(account_id=UUID(int=1), at=NOON, agent_app_id=UUID(int=2), deployment_id=UUID(int=n))
        for n in range(count)
    ]
    parameters, _ = rows_for(STREAM, Head(), pinned, Cause("key-1", UUID(int=3)))
    rows = [list(parameters[at : at + COLUMNS]) for at in range(0, len(parameters), COLUMNS)]
    return [[*row, "7", number] for number, row in enumerate(rows, start=1)]


@given(st.data())
def test_any_changed_byte_of_data_or_metadata_is_found(data: st.DataObject) -> None:
    rows = stored(4)
    assert first_fault(STREAM, [tuple(row) for row in rows]) is None
    row = data.draw(st.integers(0, 3))
    column = data.draw(st.sampled_from([3, 4]))
    text = rows[row][column].encode()
    at = data.draw(st.integers(0, len(text) - 1))
    changed = text[:at] + bytes([text[at] ^ data.draw(st.sampled_from([1, 2, 4, 8, 16, 32, 64]))]) + text[at + 1 :]
    try:
        same = orjson.loads(changed) == orjson.loads(text)
    except orjson.JSONDecodeError:
        return  # Postgres would not have taken it
    rows[row][column] = changed.decode()
    fault = first_fault(STREAM, [tuple(row) for row in rows])
    assert (fault is None) == same


@given(row=st.integers(0, 3), byte=st.integers(0, 31), bit=st.integers(0, 7))
def test_any_changed_bit_of_a_hash_is_found(row: int, byte: int, bit: int) -> None:
    rows = stored(4)
    digest = bytearray(rows[row][6])
    digest[byte] ^= 1 << bit
    rows[row][6] = bytes(digest)
    fault = first_fault(STREAM, [tuple(row) for row in rows])
    assert fault is not None
    assert fault.version == row + 1


@given(st.permutations(range(4)))
def test_any_other_order_is_found(order: list[int]) -> None:
    rows = stored(4)
    contents = [rows[n][2:7] for n in order]
    shuffled = [(*row[:2], *content, *row[7:]) for row, content in zip(rows, contents, strict=True)]
    assert (first_fault(STREAM, shuffled) is None) == (list(order) == sorted(order))


def test_the_chain_does_not_depend_on_the_order_of_keys_or_the_time_zone() -> None:
    parts: dict[str, Any] = {"stream": STREAM, "version": 1, "type_": "X", "metadata": {}, "at": NOON}
    there = chained(GENESIS, data={"a": 1, "b": 2}, **parts)
    parts["at"] = datetime.fromisoformat("2026-11-23T13:00:00+01:00")
    assert chained(GENESIS, data={"b": 2, "a": 1}, **parts) == there


@pytest.mark.parametrize("service", EVENTS_OF)
def test_no_event_holds_a_float(service: Any) -> None:
    """Postgres writes some floats in another way than they came, and the chain would not hold."""
    adapter: TypeAdapter[Any] = EVENTS_OF[service]
    assert b'"number"' not in orjson.dumps(adapter.json_schema())


def filling(size_bytes: int) -> list[str]:
    """Lines that take so many bytes in a JSON list; a line is cut at 1000 characters."""
    return ["x" * 997] * ((size_bytes - 2) // 1000) + ["x" * ((size_bytes - 2) % 1000)]


def aborted(*filled: str) -> DeploymentAborted:
    return DeploymentAborted(
        account_id=UUID(int=1),
        at=NOON,
        deployment_id=UUID(int=2),
        agent_app_id=UUID(int=3),
        package_id=UUID(int=4),
        outcome=Outcome.FAILED,
        code="invalid_package",
        error="Package validation failed",
        error_details=filled,
        due_at=NOON,
    )


def test_an_event_that_kafka_would_refuse_is_not_written() -> None:
    bare = len(orjson.dumps(aborted().model_dump(mode="json")))
    parameters, head = rows_for(
        STREAM, Head(), [aborted(*filling(EVENT_MAX_BYTES - bare))], Cause("key-1", UUID(int=3))
    )
    assert (head.version, len(parameters[3])) == (1, EVENT_MAX_BYTES)
    with pytest.raises(EventTooLarge, match=rf"DeploymentAborted on {STREAM} has 921601 bytes, 921600 are allowed"):
        rows_for(STREAM, Head(), [aborted(*filling(EVENT_MAX_BYTES - bare + 1))], Cause("key-1", UUID(int=3)))
