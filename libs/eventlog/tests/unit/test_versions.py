"""Rows that an earlier release has written: read as what they mean today, verified as what was written then."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, ClassVar
from uuid import UUID

import orjson
import pytest

from pac.contracts.billing import CreditsReserved
from pac.contracts.topics import ServiceName
from pac.contracts.upcasting import UPCASTERS, Data, NewerThanKnown, Upcasters
from pac.eventlog import Cause, Decider
from pac.eventlog.record import GENESIS, Head, chained, envelope_from, event_from, rows_for
from pac.eventlog.transaction import folded
from pac.eventlog.verify import first_fault

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
STREAM = "hold-1"


class Before(CreditsReserved):
    """CreditsReserved as if its first version had said `cents`."""

    cents: int


class After(CreditsReserved):
    """CreditsReserved as a later release may say it."""

    data_version: ClassVar[int] = 2


def to_credits(data: Data) -> Data:
    return {**{name: value for name, value in data.items() if name != "cents"}, "amount": data["cents"] // 100}


UP = Upcasters({**UPCASTERS.known, "CreditsReserved": 2}, {("CreditsReserved", 1): to_credits})
TOTAL: Decider[int, Any, CreditsReserved] = Decider("hold", 0, lambda _, __: [], lambda now, said: now + said.amount)


def fields(amount: int) -> dict[str, Any]:
    return {"account_id": UUID(int=1), "at": NOON, "deployment_id": UUID(int=2), "amount": amount}


def stored(*events: CreditsReserved) -> list[dict[str, Any]]:
    parameters, _ = rows_for(STREAM, Head(), events, Cause("key-1", UUID(int=3)))
    names = ("stream", "version", "type", "data", "metadata", "at", "hash")
    return [dict(zip(names, parameters[at : at + 7], strict=True)) for at in range(0, len(parameters), 7)]


ROWS = stored(Before(**fields(-1), cents=200), After(**fields(3)))


def data_version(row: dict[str, Any]) -> int:
    return int(orjson.loads(row["metadata"])["data_version"])


def test_a_row_says_the_version_it_was_written_in() -> None:
    assert [data_version(row) for row in ROWS] == [1, 2]


def test_every_way_of_reading_a_row_upcasts_it() -> None:
    row = ROWS[0]
    meant = CreditsReserved(**fields(2))
    assert event_from(ServiceName.BILLING, row["data"], 1, UP) == meant
    envelope = envelope_from(ServiceName.BILLING, STREAM, 1, row["data"], row["metadata"], upcasters=UP)
    assert envelope.event == meant
    loaded = [(row["version"], row["data"], row["hash"], row["at"], data_version(row)) for row in ROWS]
    assert folded(ServiceName.BILLING, TOTAL, loaded, UP).state == 2 + 3


def test_what_a_later_release_wrote_is_refused_not_guessed() -> None:
    row = ROWS[1]
    with pytest.raises(NewerThanKnown, match="CreditsReserved is of version 2, and this release knows 1"):
        event_from(ServiceName.BILLING, row["data"], 2)
    with pytest.raises(NewerThanKnown):
        envelope_from(ServiceName.BILLING, STREAM, 2, row["data"], row["metadata"])
    with pytest.raises(NewerThanKnown):
        folded(ServiceName.BILLING, TOTAL, [(2, row["data"], row["hash"], row["at"], 2)])


def test_the_chain_is_of_what_was_written_not_of_what_it_means_today() -> None:
    as_verified = [(*row.values(), "7", number) for number, row in enumerate(ROWS, start=1)]
    assert first_fault(STREAM, as_verified) is None
    row = ROWS[0]
    upcast = event_from(ServiceName.BILLING, row["data"], 1, UP).model_dump(mode="json")
    of_upcast = chained(
        GENESIS,
        stream=STREAM,
        version=1,
        type_=row["type"],
        data=upcast,
        metadata=orjson.loads(row["metadata"]),
        at=NOON,
    )
    assert of_upcast != row["hash"]


def test_reading_leaves_a_version_to_the_envelope_of_the_row() -> None:
    """Two streams may stand at different versions of one type; nothing is remembered between rows."""
    envelope = envelope_from(ServiceName.BILLING, STREAM, 1, ROWS[0]["data"], ROWS[0]["metadata"], upcasters=UP)
    later = envelope_from(ServiceName.BILLING, STREAM, 1, ROWS[1]["data"], ROWS[1]["metadata"], upcasters=UP)
    assert replace(later, event=envelope.event, id=envelope.id) == envelope
