"""What operators do with messages set aside: replayed once, dropped without leaving a hole behind."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest

from pac.contracts.deployments import DeploymentsEvent
from pac.contracts.envelope import Envelope, from_kafka, to_kafka
from pac.contracts.topics import EVENTS_OF, ServiceName
from pac.eventlog import EventLog, Message, Parking, Patience, Raw
from pac.eventlog.letters import CannotBeDropped, Letter, Letters, State
from pac.testkit.eventually import eventually

QUICK = Patience(early_shortest=0.01, early_longest=0.05, shortest=0.01, longest=0.02, attempts_limit=2, poll=0.01)
TOPIC = ServiceName.DEPLOYMENTS.topic


class Consumer:
    """Billing hears deployments: remembers what it has handled, dies of some."""

    def __init__(self, log: EventLog) -> None:
        self.log = log
        self.parking = Parking(log, "billing", patience=QUICK)
        self.handled: list[tuple[str, int]] = []
        self.poison: set[int] = set()

    async def handle(self, raw: Raw) -> None:
        envelope: Envelope[DeploymentsEvent] = from_kafka(raw.value, raw.headers, EVENTS_OF[ServiceName.DEPLOYMENTS])
        async with self.log.transaction(cause=Message("billing", envelope)):
            if envelope.version in self.poison:
                raise ZeroDivisionError
        self.handled.append((envelope.stream, envelope.version))

    async def park(self, *messages: Raw, early: bool = False) -> None:
        for raw in messages:
            await self.parking.park(raw, "ZeroDivisionError", early=early)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.parking.run(self.handle))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def shelf_is_empty(self) -> bool:
        return await self.parking.list() == []


@pytest.fixture
async def log(event_log_of: Any, database: Any) -> EventLog:
    opened = await event_log_of(ServiceName.BILLING, database=database)
    assert isinstance(opened, EventLog)
    return opened


def told(example: Any, app: UUID, versions: Sequence[int]) -> list[Raw]:
    messages = []
    for version in versions:
        event = example.pinned(app, version)
        envelope = Envelope(uuid4(), "deployments", f"appstate-{app}", version, event, "key-1", uuid4())
        key, value, headers = to_kafka(envelope)
        messages.append(Raw(TOPIC, 0, version, key, value, headers))
    return messages


async def dead(letters: Letters) -> list[Letter]:
    return [letter for letter in await letters.list() if letter.state is State.DEAD]


async def test_a_dead_message_is_replayed_once_and_what_lies_behind_it_follows(log: EventLog, example: Any) -> None:
    consumer, letters, app = Consumer(log), Letters(log), uuid4()
    consumer.poison.add(1)
    await consumer.park(*told(example, app, [1, 2, 3]))
    async with consumer.running():
        await eventually(lambda: dead(letters))
        found = await letters.list()
        assert [letter.state for letter in found] == [State.DEAD, State.BEHIND, State.BEHIND]
        assert found[0].place == (f"appstate-{app}", 1)
        assert found[0].source is ServiceName.DEPLOYMENTS
        assert await letters.list(found[1].parked.id) == [found[1]]
        consumer.poison.clear()
        await letters.replay(found[0])
        await eventually(consumer.shelf_is_empty)
    assert consumer.handled == [(f"appstate-{app}", version) for version in (1, 2, 3)]


async def test_a_dropped_message_lets_the_later_ones_go(log: EventLog, example: Any) -> None:
    consumer, letters, app = Consumer(log), Letters(log), uuid4()
    consumer.poison.add(1)
    await consumer.park(*told(example, app, [1, 2, 3]))
    async with consumer.running():
        [letter] = await eventually(lambda: dead(letters))
        assert await letters.drop(letter)
        await eventually(consumer.shelf_is_empty)
    assert consumer.handled == [(f"appstate-{app}", 2), (f"appstate-{app}", 3)]
    assert await log.inbox("billing", "deployments", f"appstate-{app}") == 3


async def test_what_would_leave_a_hole_behind_is_not_dropped(log: EventLog, example: Any) -> None:
    consumer, letters = Consumer(log), Letters(log)
    await consumer.park(*told(example, uuid4(), [4]), early=True)
    [letter] = await letters.list()
    assert letter.state is State.EARLY
    with pytest.raises(CannotBeDropped):
        await letters.drop(letter)
    assert await letters.list() == [letter]


async def test_an_unreadable_value_is_dropped_by_what_its_headers_say(log: EventLog, example: Any) -> None:
    consumer, letters, app = Consumer(log), Letters(log), uuid4()
    [first, second] = told(example, app, [1, 2])
    broken = Raw(first.topic, first.partition, first.offset, first.key, b"\xff{", first.headers)
    await consumer.park(broken, second)
    async with consumer.running():
        [letter] = await eventually(lambda: dead(letters))
        assert await letters.drop(letter)
        await eventually(consumer.shelf_is_empty)
    assert consumer.handled == [(f"appstate-{app}", 2)]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("ce_source", b"gateway"), ("ce_subject", b"app-1"), ("ce_sequence", b"1")],
        [("ce_source", b"deployments"), ("ce_subject", b"app-1"), ("ce_sequence", b"-1")],
        [("ce_source", b"\xff"), ("ce_subject", b"\xff"), ("ce_sequence", b"\xff")],
    ],
)
async def test_a_message_that_names_no_place_is_only_taken_away(log: EventLog, headers: Any) -> None:
    consumer, letters = Consumer(log), Letters(log)
    await consumer.park(Raw(TOPIC, 0, 0, b"key", b"", headers))
    [letter] = await letters.list()
    assert not await letters.drop(letter)
    assert await letters.list() == []
    assert await log.inbox("billing", "gateway", "app-1") == 0
