"""Messages set aside: held in order with their subject, tried again, given up only by people."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest

from pac.eventlog import EventLog, Parking, Patience, Raw, TooEarly
from pac.eventlog.parking import Handle
from pac.testkit.eventually import eventually

QUICK = Patience(early_shortest=0.01, early_longest=0.05, shortest=0.01, longest=0.05, outage=0.01, poll=0.02)
PATIENT = Patience(early_shortest=60, early_longest=60, poll=0.02)


def raw(subject: str, offset: int, partition: int = 0, topic: str = "gateway.events") -> Raw:
    return Raw(topic, partition, offset, subject.encode(), b"{}", [("ce_id", b"\xff1")])


class Handler:
    """Handles what it is told to; remembers what came, in order."""

    def __init__(self) -> None:
        self.handled: list[tuple[str, int]] = []
        self.tried: list[tuple[str, int]] = []
        self.faults: dict[str, BaseException] = {}

    async def __call__(self, message: Raw) -> None:
        self.tried.append((message.subject, message.offset))
        if (fault := self.faults.get(message.subject)) is not None:
            raise fault
        self.handled.append((message.subject, message.offset))


@asynccontextmanager
async def running(parking: Parking, handler: Handle) -> AsyncIterator[None]:
    task = asyncio.create_task(parking.run(handler))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def given_up(parking: Parking) -> bool:
    return (await parking.list())[0].dead_at is not None


async def empty(parking: Parking) -> None:
    async def nothing_left() -> bool:
        return await parking.list() == []

    await eventually(nothing_left)


async def test_a_subject_is_held_and_handled_in_order(event_log: EventLog) -> None:
    parking, handler = Parking(event_log, "packages", patience=QUICK), Handler()
    for offset in range(5):
        await parking.park(raw("a", offset), "early", early=True)
        await parking.park(raw("b", offset, partition=1), "early", early=offset % 2 == 0)
    await parking.park(raw("a", 3), "came twice", early=True)
    assert await parking.held(["a", "b", "c"]) == {"a", "b"}
    assert not await Parking(event_log, "billing").is_parked("a")
    first = (await parking.list())[0]
    assert first.raw == raw("a", 0)
    async with running(parking, handler):
        await empty(parking)
    assert [message for message in handler.handled if message[0] == "a"] == [("a", n) for n in range(5)]
    assert [message for message in handler.handled if message[0] == "b"] == [("b", n) for n in range(5)]
    assert not await parking.is_parked("a")


async def test_too_early_is_tried_without_limit_and_holds_only_its_subject(event_log: EventLog) -> None:
    patience = Patience(early_shortest=0.001, early_longest=0.002, poll=0.002, attempts_limit=2)
    parking, handler = Parking(event_log, "packages", patience=patience), Handler()
    handler.faults["a"] = TooEarly("no such app yet")
    await parking.park(raw("a", 0), "early", early=True)
    await parking.park(raw("a", 1), "behind", early=True)
    await parking.park(raw("b", 2), "early", early=True)
    async with running(parking, handler):
        await eventually(lambda: len(handler.tried) >= 20)
        assert handler.handled == [("b", 2)]
        assert ("a", 1) not in handler.tried
        del handler.faults["a"]
        await empty(parking)
    assert handler.handled == [("b", 2), ("a", 0), ("a", 1)]


async def test_news_of_its_subject_has_an_early_message_tried_at_once(event_log: EventLog) -> None:
    parking, handler = Parking(event_log, "packages", patience=PATIENT), Handler()
    await parking.park(raw("a", 0), "early", early=True)
    async with running(parking, handler):
        await parking.heard("b")
        await parking.heard("a")
        await empty(parking)
    assert handler.handled == [("a", 0)]


async def test_what_an_early_message_waits_for_may_be_parked_from_another_topic(event_log: EventLog) -> None:
    parking = Parking(event_log, "packages", patience=QUICK)
    started = asyncio.Event()

    async def handle(message: Raw) -> None:
        if message.topic == "billing.events":
            started.set()
        elif not started.is_set():
            raise TooEarly("billing has not said it yet")

    await parking.park(raw("a", 0), "early", early=True)
    await parking.park(raw("a", 1), "behind", early=True)
    await parking.park(raw("a", 0, topic="billing.events"), "waits for an account", early=True)
    async with running(parking, handle):
        await empty(parking)


def said(version: int, offset: int, *, stream: str = "app-a") -> Raw:
    headers = [("ce_subject", stream.encode()), ("ce_sequence", str(version).encode())]
    return Raw("gateway.events", 0, offset, b"a", b"{}", headers)


async def test_what_an_early_message_waits_for_may_be_parked_behind_it(event_log: EventLog) -> None:
    """A replay says what was lost after what followed it, and repeats it."""
    parking, handled = Parking(event_log, "packages", patience=QUICK), list[int]()

    async def handle(message: Raw) -> None:
        version = int(dict(message.headers)["ce_sequence"])
        if version > len(handled) + 1:
            raise TooEarly(f"seen up to {len(handled)}")
        if version == len(handled) + 1:
            handled.append(version)

    for offset, version in enumerate((3, 2, 3, 1, 2, 1)):
        await parking.park(said(version, offset), "behind", early=True)
    async with running(parking, handle):
        await empty(parking)
    assert handled == [1, 2, 3]


async def test_only_its_own_stream_and_a_version_pass_an_early_message(event_log: EventLog) -> None:
    parking, handler = Parking(event_log, "packages", patience=PATIENT), Handler()
    handler.faults["a"] = TooEarly("not yet")
    await parking.park(said(5, 0), "early", early=True)
    await parking.park(said(3, 1, stream="app-b"), "behind", early=True)
    await parking.park(said(6, 2), "behind", early=True)
    await parking.park(Raw("gateway.events", 0, 3, b"a", b"{}", [("ce_sequence", b"no number")]), "", early=True)
    await parking.heard("a")
    while await parking.step(handler):
        pass
    assert handler.tried == [("a", 0)]


async def test_a_broken_message_holds_back_what_came_later_on_any_topic(event_log: EventLog) -> None:
    parking, handler = Parking(event_log, "packages", patience=QUICK), Handler()
    broken = asyncio.Event()

    async def handle(message: Raw) -> None:
        await handler(message)
        if message.offset == 0 and not broken.is_set():
            raise ZeroDivisionError

    await parking.park(raw("a", 0), "failed", early=False)
    await parking.park(raw("a", 1, topic="billing.events"), "behind", early=True)
    async with running(parking, handle):
        await eventually(lambda: handler.tried.count(("a", 0)) >= 4)
        assert ("a", 1) not in handler.tried
        broken.set()
        await empty(parking)


async def test_news_of_another_subject_has_early_messages_tried_soon(event_log: EventLog) -> None:
    parking, handler = Parking(event_log, "packages", patience=PATIENT), Handler()
    await parking.park(raw("deployment", 0), "its account is not known yet", early=True)
    async with running(parking, handler):
        await parking.heard("account")
        await empty(parking)
    assert handler.handled == [("deployment", 0)]


async def test_what_was_handled_late_is_news_too(event_log: EventLog) -> None:
    parking, handler = Parking(event_log, "packages", patience=PATIENT), Handler()
    for number in range(5):
        await parking.park(raw(f"deployment-{number}", number), "early", early=True)
    await parking.park(raw("account", 5), "early", early=True)
    handler.faults = {f"deployment-{number}": TooEarly("no account") for number in range(5)}

    async def handle(message: Raw) -> None:
        await handler(message)
        if message.subject == "account":
            handler.faults.clear()

    async with running(parking, handle):
        await parking.heard("account")
        await empty(parking)


async def test_news_that_comes_while_an_early_message_is_tried_is_not_missed(event_log: EventLog) -> None:
    parking = Parking(event_log, "packages", patience=PATIENT)
    tried = 0

    async def handle(message: Raw) -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            await parking.heard(message.subject)  # just after it was looked for in vain
            raise TooEarly("not there yet")

    await parking.park(raw("a", 0), "early", early=True)
    async with running(parking, handle):
        await parking.heard("a")
        await empty(parking)
        assert tried == 2


async def test_what_another_process_has_parked_is_found(event_log: EventLog) -> None:
    patience = Patience(early_shortest=0.01, poll=0.02, count=0.05)
    parking, handler = Parking(event_log, "packages", patience=patience), Handler()
    async with running(parking, handler):
        await eventually(lambda: not parking._maybe_held)
        await Parking(event_log, "packages", patience=patience).park(raw("a", 0), "early", early=True)
        await empty(parking)
    assert handler.handled == [("a", 0)]


async def test_a_message_that_fails_is_copied_once_and_its_subject_stays_held(event_log: EventLog) -> None:
    copies: list[Raw] = []

    async def publish(message: Raw, reason: str) -> None:
        assert reason == "ZeroDivisionError"
        copies.append(message)

    patience = Patience(shortest=0.005, longest=0.01, poll=0.01, attempts_limit=3)
    parking, handler = Parking(event_log, "packages", publish=publish, patience=patience), Handler()
    handler.faults["a"] = ZeroDivisionError()
    await parking.park(raw("a", 0), "failed", early=False)
    await parking.park(raw("a", 1), "behind", early=False)
    async with running(parking, handler):
        await eventually(lambda: given_up(parking))
        await parking.park(raw("b", 2), "early", early=True)
        await eventually(lambda: ("b", 2) in handler.handled)
        assert copies == [raw("a", 0)]
        assert handler.tried.count(("a", 0)) == 3
        assert await parking.is_parked("a")
        del handler.faults["a"]
        await parking.replay((await parking.list())[0].id)
        await empty(parking)
    assert handler.handled == [("b", 2), ("a", 0), ("a", 1)]


async def test_while_the_dead_letters_cannot_be_written_others_go_on_and_the_copy_follows(event_log: EventLog) -> None:
    copies: list[Raw] = []
    is_away = True

    async def publish(message: Raw, _: str) -> None:
        if is_away:
            raise ConnectionError("Kafka does not answer")
        copies.append(message)

    patience = Patience(shortest=0.005, longest=0.01, outage=0.01, poll=0.01, attempts_limit=2)
    parking, handler = Parking(event_log, "packages", publish=publish, patience=patience), Handler()
    handler.faults["a"] = ZeroDivisionError()
    await parking.park(raw("a", 0), "failed", early=False)
    async with running(parking, handler):
        await eventually(lambda: len(handler.tried) > 3)
        await parking.park(raw("b", 1), "early", early=True)
        await eventually(lambda: ("b", 1) in handler.handled)
        is_away = False
        await eventually(lambda: given_up(parking))
    assert copies == [raw("a", 0)]


async def test_an_outage_does_not_count_as_an_attempt(event_log: EventLog) -> None:
    patience = Patience(shortest=0.001, outage=0.001, poll=0.002, attempts_limit=1)
    parking, handler = Parking(event_log, "packages", patience=patience), Handler()
    handler.faults["a"] = OSError("away")
    await parking.park(raw("a", 0), "failed", early=False)
    async with running(parking, handler):
        await eventually(lambda: len(handler.tried) >= 5)
        del handler.faults["a"]
        await empty(parking)


async def test_what_is_parked_in_a_transaction_that_fails_is_not_parked(event_log: EventLog, example: Any) -> None:
    parking = Parking(event_log, "packages")
    with pytest.raises(ZeroDivisionError):
        await _park_and_fail(parking, event_log, example)
    assert await parking.list() == []


async def _park_and_fail(parking: Parking, log: EventLog, example: Any) -> None:
    async with log.transaction(cause=example.cause) as tx:
        await parking.park(raw("a", 0), "early", early=True, tx=tx)
        raise ZeroDivisionError


async def test_dropping_moves_the_inbox_over_the_message(event_log: EventLog, example: Any) -> None:
    parking, app = Parking(event_log, "packages"), uuid4()
    await parking.park(raw(str(app), 0), "failed", early=False)
    (parked,) = await parking.list()
    await parking.drop(parked.id, example.message(app, 1))
    assert await parking.list() == []
    assert await event_log.advance(example.message(app, 2))
