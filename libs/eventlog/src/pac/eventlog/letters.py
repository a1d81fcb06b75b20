"""What an operator does with messages that were set aside: look, have them tried again, give one up (`pac dlq`)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from pac.contracts.base import Event
from pac.contracts.envelope import Envelope, from_kafka
from pac.contracts.topics import EVENTS_OF, ServiceName
from pac.contracts.upcasting import NewerThanKnown
from pac.eventlog.engine import driver_of
from pac.eventlog.log import EventLog
from pac.eventlog.parking import COLUMNS, DELETE, HOLDS_BACK, Parked, Parking, _parked
from pac.eventlog.types import Message, TooEarly

# What nobody takes before it is somebody's turn: see TAKE of parking.
LETTERS = f"""
SELECT {COLUMNS}, EXISTS (SELECT FROM log.parked AS older WHERE {HOLDS_BACK})
FROM log.parked AS head WHERE consumer = %s AND (%s::bigint[] IS NULL OR id = ANY(%s)) ORDER BY id LIMIT %s
"""  # noqa: S608 - constants only
LIMIT = 10_000


class State(StrEnum):
    """Why a message lies there."""

    DEAD = "dead"  # given up after all attempts; holds its subject until replay or drop
    FAILING = "failing"  # tried again, with pauses
    EARLY = "early"  # waits for news, tried without limit
    BEHIND = "behind"  # waits for another one of its subject


@dataclass(frozen=True)
class Letter:
    """`attributes`: its readable `ce_…` headers; those of a message that is no event may be anything, or missing."""

    parked: Parked
    attributes: Mapping[str, str]
    is_behind: bool

    @property
    def state(self) -> State:
        if self.parked.dead_at is not None:
            return State.DEAD
        if self.is_behind:
            return State.BEHIND
        return State.EARLY if self.parked.early else State.FAILING

    @property
    def source(self) -> ServiceName | None:
        """Who says things on its topic."""
        return next((one for one in ServiceName if one.topic == self.parked.raw.topic), None)

    @property
    def place(self) -> tuple[str, int] | None:
        """Stream and version, as its headers say; None where they do not tell."""
        stream, version = self.attributes.get("ce_subject", ""), self.attributes.get("ce_sequence", "")
        if self.source is None or self.attributes.get("ce_source") != self.source.value or not stream:
            return None
        return (stream, int(version)) if version.isdecimal() and int(version) > 0 else None

    def event(self) -> Event | None:
        """What it says, if it is an event of its topic's service. A field that is not of the contract is left out."""
        if self.source is None:
            return None
        try:
            envelope: Envelope[Event] = from_kafka(
                self.parked.raw.value, self.parked.raw.headers, EVENTS_OF[self.source]
            )
        except (ValueError, NewerThanKnown):
            return None
        return envelope.event


class CannotBeDropped(Exception):  # noqa: N818 - says what the matter is
    """Its consumer has not heard what comes before it, so giving it up would leave a hole behind."""


@dataclass(frozen=True)
class Letters:
    """Of one service, which is the consumer of that name."""

    log: EventLog

    @property
    def consumer(self) -> str:
        return self.log.service.value

    async def list(self, *ids: int) -> "list[Letter]":
        """In the order in which they are to be handled; all of them, or those."""
        wanted = list(ids) or None
        async with self.log.reading() as connection:
            asked = (self.consumer, wanted, wanted, LIMIT)
            rows = await (await (await driver_of(connection)).execute(LETTERS, asked)).fetchall()
        return [_letter(_parked(row[:-1]), is_behind=row[-1]) for row in rows]

    async def replay(self, letter: Letter) -> None:
        """It is tried again at once, as soon as it is its turn, with all its attempts before it."""
        await Parking(self.log, self.consumer).replay(letter.parked.id)

    async def drop(self, letter: Letter) -> bool:
        """Gives it up; what lies behind it goes on. False if nothing said which stream's next version it is:
        then it is only taken away, and that stream's next message is a gap. Raises CannotBeDropped.
        """
        if letter.place is None or letter.source is None:
            async with self.log.reading() as connection:
                await (await driver_of(connection)).execute(DELETE, (letter.parked.id, self.consumer))
            return False
        try:
            message = Message(self.consumer, _stand_in(letter.source, *letter.place, letter.attributes))
            await Parking(self.log, self.consumer).drop(letter.parked.id, message)
        except TooEarly as gap:
            raise CannotBeDropped(str(gap)) from gap
        return True


def _letter(parked: Parked, *, is_behind: bool) -> Letter:
    attributes: dict[str, str] = {}
    for name, value in parked.raw.headers:
        if name.startswith("ce_"):
            attributes[name] = value.decode(errors="replace")
    return Letter(parked, attributes, is_behind)


def _stand_in(source: ServiceName, stream: str, version: int, attributes: Mapping[str, str]) -> Envelope[Event]:
    """The message as far as an inbox needs it: what it says may be unreadable, and is not looked at."""
    nobody = UUID(int=0)
    event = Event(type=attributes.get("ce_type", "unreadable"), account_id=nobody, at=datetime.now(UTC))
    return Envelope[Any](nobody, source.value, stream, version, event, "operator", nobody)
