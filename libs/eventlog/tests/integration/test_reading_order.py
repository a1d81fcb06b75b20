"""Transaction ids are numbers, also when their texts sort otherwise."""

from typing import Any
from uuid import uuid4

from sqlalchemy import text

from pac.contracts.base import Event
from pac.contracts.envelope import Envelope
from pac.eventlog import EventLog, Placed, Position
from pac.eventlog.checkpoints import newest_in
from pac.testkit.eventually import eventually

# The database is older than these ids, so nothing in flight hides them.
RENUMBERED = (
    "ALTER TABLE log.events DISABLE TRIGGER only_added_to",
    "UPDATE log.events SET xid = (8 + version)::text::xid8",
    "ALTER TABLE log.events ENABLE TRIGGER only_added_to",
)


async def test_readers_order_transaction_ids_as_numbers(event_log: EventLog, example: Any) -> None:
    await event_log.execute(example.decider, uuid4(), example.pin(uuid4(), times=4), cause=example.cause)
    async with event_log.engine.begin() as connection:
        for statement in RENUMBERED:
            await connection.execute(text(statement))

    async def readable() -> bool:
        return await event_log.watermark_age_seconds() == 0

    await eventually(readable)
    read = await event_log.read(Position(), 10)
    assert [(position.xid, envelope.version) for position, envelope in read] == [(9, 1), (10, 2), (11, 3), (12, 4)]
    assert await event_log.read(Position(), 2) == read[:2]
    assert await newest_in(event_log) == read[-1][0]
    await check_without_causes(event_log, read)


async def check_without_causes(log: EventLog, read: list[tuple[Position, Envelope[Event]]]) -> None:
    """`events` gives the same ones, and stands where the last of them does."""
    placed = [Placed(told.stream, told.version, told.event) for _, told in read]
    places = [position for position, _ in read]
    assert await log.events(Position(), 10) == (placed, places[-1])
    assert await log.events(places[0], 2) == (placed[1:3], places[2])
    assert await log.events(Position(), 10, until=places[2]) == (placed[:3], places[2])
    assert await log.events(places[-1], 10) == ([], places[-1])
    assert await log.events(places[1], 10, until=places[1]) == ([], places[1])
