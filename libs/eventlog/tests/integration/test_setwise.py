"""Many rows in one statement are the rows that were given, by the table's own types."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import BigInteger, Column, DateTime, Double, MetaData, Numeric, Table, Text, Uuid, text

from pac.eventlog import EventLog
from pac.eventlog.setwise import upsert

THINGS = Table(
    "things",
    MetaData(schema="read"),
    Column("id", Uuid, primary_key=True),
    Column("at", DateTime(timezone=True)),
    Column("number", BigInteger),
    Column("seconds", Double),
    Column("name", Text),
    Column("total", Numeric),
)
MADE = """
CREATE TABLE read.things (id uuid PRIMARY KEY, at timestamptz, number bigint, seconds double precision, name text,
    total numeric)
"""
EXACT = Decimal("12345678901234567890.123456")
AT = datetime(2026, 11, 23, 12, 0, 0, 123456, tzinfo=UTC)


def thing(key: int, **fields: object) -> dict[str, object]:
    known: dict[str, object] = {"at": AT, "number": key, "seconds": 0.1, "name": "'\"\\ ∂ {} %s :x", "total": EXACT}
    return {"id": UUID(int=key), **known, **fields}


@pytest.fixture
async def log(event_log: EventLog) -> EventLog:
    async with event_log.engine.begin() as connection:
        await connection.execute(text(MADE))
    return event_log


async def written(log: EventLog, *rows: dict[str, object], adding: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    async with log.engine.begin() as connection:
        await connection.execute(upsert(THINGS, rows, adding=adding))
        return [dict(row) for row in (await connection.execute(THINGS.select().order_by(THINGS.c.id))).mappings()]


async def test_rows_come_back_as_they_were_given(log: EventLog) -> None:
    rows = [thing(1), thing(2, number=2**62, seconds=1 / 3), thing(3, at=None, number=None, seconds=None, name=None)]
    assert await written(log, *rows) == rows


async def test_a_known_key_is_replaced_or_added_to(log: EventLog) -> None:
    await written(log, thing(1), thing(2))
    found = await written(log, thing(2, name="new", seconds=0.5), thing(3), adding=("number", "total"))
    assert found == [thing(1), thing(2, name="new", number=4, seconds=0.5, total=EXACT * 2), thing(3)]


async def test_a_row_without_all_columns_is_refused(log: EventLog) -> None:
    with pytest.raises(KeyError, match="name"):
        await written(log, {"id": UUID(int=1), "at": AT, "number": 1, "seconds": 1.0, "total": EXACT})


async def test_what_json_cannot_hold_is_refused(log: EventLog) -> None:
    with pytest.raises(TypeError, match="Type is not JSON serializable"):
        await written(log, thing(1, name=b"bytes"))
