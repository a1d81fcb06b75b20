"""Commands that share a transaction: each has its own end, whatever becomes of the others."""

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from pac.contracts.topics import ServiceName
from pac.eventlog import AlreadySeen, EventLog, LogUnavailable, Position, TooEarly, Transaction
from pac.testkit.postgres import EventLogOf

STREAMS = 12
CALLS = 400


class RefusedError(Exception):
    pass


class Refusing:
    """A command that cannot be granted."""

    times = property(lambda _: (_ for _ in ()).throw(RefusedError()))


async def transactions(log: EventLog) -> int:
    async with log.reading() as connection:
        return int(await connection.scalar(text("SELECT count(DISTINCT xid) FROM log.events")) or 0)


async def test_those_that_wait_go_together(event_log: EventLog, example: Any) -> None:
    apps = [uuid4() for _ in range(60)]
    await asyncio.gather(
        *(event_log.execute(example.decider, app, example.pin(app), cause=example.message(app, 1)) for app in apps)
    )
    for app in apps:
        assert await event_log.inbox("packages", "gateway", f"app-{app}") == 1
        [envelope] = await event_log.history(f"appstate-{app}")
        assert envelope.version == 1
    assert await transactions(event_log) < len(apps) / 4


async def test_each_event_names_the_message_that_caused_it(event_log: EventLog, example: Any) -> None:
    messages = {app: example.message(app, 1) for app in (uuid4() for _ in range(20))}
    await asyncio.gather(
        *(event_log.execute(example.decider, app, example.pin(app), cause=told) for app, told in messages.items())
    )
    for app, told in messages.items():
        [envelope] = await event_log.history(f"appstate-{app}")
        assert envelope.causation_id == told.envelope.id
        assert told.hearing.is_recorded


async def test_who_is_refused_leaves_the_others_and_its_own_inbox_alone(event_log: EventLog, example: Any) -> None:
    apps = [uuid4() for _ in range(10)]
    messages = [example.message(app, 1) for app in apps]
    commands = [Refusing() if number % 3 == 0 else example.pin(app) for number, app in enumerate(apps)]
    results = await asyncio.gather(
        *(
            event_log.execute(example.decider, app, command, cause=message)
            for app, command, message in zip(apps, commands, messages, strict=True)
        ),
        return_exceptions=True,
    )
    for number, (app, message, result) in enumerate(zip(apps, messages, results, strict=True)):
        refused = number % 3 == 0
        assert isinstance(result, RefusedError) == refused
        assert await event_log.inbox("packages", "gateway", f"app-{app}") == (0 if refused else 1)
        assert message.hearing.is_recorded == (not refused)
        assert len(await event_log.history(f"appstate-{app}")) == (0 if refused else 1)


async def test_who_has_seen_it_or_hears_it_too_early_is_told_so_alone(event_log: EventLog, example: Any) -> None:
    seen, early, fine = uuid4(), uuid4(), uuid4()
    await event_log.advance(example.message(seen, 1))
    wanted = [(fine, 1), (seen, 1), (early, 2), (uuid4(), 1)]
    results = await asyncio.gather(
        *(
            event_log.execute(example.decider, app, example.pin(app), cause=example.message(app, version))
            for app, version in wanted
        ),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == ["Recorded", "AlreadySeen", "TooEarly", "Recorded"]
    assert isinstance(results[1], AlreadySeen)
    assert isinstance(results[2], TooEarly)
    assert await event_log.history(f"appstate-{seen}") == []
    assert await event_log.history(f"appstate-{early}") == []
    assert await event_log.inbox("packages", "gateway", f"app-{early}") == 0


async def test_rows_of_one_that_fails_are_not_there_and_those_of_the_others_are_once(
    event_log: EventLog, example: Any
) -> None:
    async with event_log.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE state.counts (app uuid, count int CHECK (count < 2))"))

    async def count(tx: Transaction, _: Any, events: Sequence[Any], after: Any) -> None:
        await tx.execute(text("INSERT INTO state.counts VALUES (:app, :n)"), {"app": events[0].agent_app_id, "n": 1})
        if after.count == 3:
            raise ZeroDivisionError
        if after.count == 2:  # the database itself refuses it, and with it the transaction
            await tx.execute(text("INSERT INTO state.counts VALUES (:app, 2)"), {"app": events[0].agent_app_id})

    apps = [uuid4() for _ in range(12)]
    results = await asyncio.gather(
        *(
            event_log.execute(
                example.decider, app, example.pin(app, times=1 + n % 3), cause=example.message(app, 1), then=count
            )
            for n, app in enumerate(apps)
        ),
        return_exceptions=True,
    )
    kinds = Counter(type(result).__name__ for result in results)
    assert kinds == {"Recorded": 4, "IntegrityError": 4, "ZeroDivisionError": 4}
    good = {app for app, result in zip(apps, results, strict=True) if not isinstance(result, BaseException)}
    async with event_log.reading() as connection:
        rows = (await connection.execute(text("SELECT app, count FROM state.counts"))).all()
    assert sorted(rows) == sorted((app, 1) for app in good)
    for app in apps:
        assert bool(await event_log.history(f"appstate-{app}")) == (app in good)
        assert await event_log.inbox("packages", "gateway", f"app-{app}") == (1 if app in good else 0)


async def test_what_the_database_cannot_store_fails_alone(event_log: EventLog, example: Any) -> None:
    """Found only when the events are written: then each goes by itself."""
    good, bad = [uuid4() for _ in range(5)], uuid4()
    nul = example.message(bad, 1, consumer="pack\x00ages")
    results = await asyncio.gather(
        *(event_log.execute(example.decider, app, example.pin(app), cause=example.message(app, 1)) for app in good),
        event_log.execute(example.decider, bad, example.pin(bad), cause=nul),
        return_exceptions=True,
    )
    assert [isinstance(result, BaseException) for result in results] == [False] * 5 + [True]
    for app in good:
        assert len(await event_log.history(f"appstate-{app}")) == 1


async def test_one_that_nobody_waits_for_any_more_disturbs_nobody(event_log: EventLog, example: Any) -> None:
    apps = [uuid4() for _ in range(30)]
    running = [
        asyncio.create_task(event_log.execute(example.decider, app, example.pin(app), cause=example.cause))
        for app in apps
    ]
    await asyncio.sleep(0)
    for task in running[::3]:
        task.cancel()
    results = await asyncio.gather(*running, return_exceptions=True)
    for number, result in enumerate(results):
        assert isinstance(result, asyncio.CancelledError) == (number % 3 == 0)
    for number, app in enumerate(apps):
        assert len(await event_log.history(f"appstate-{app}")) <= 1
        assert number % 3 == 0 or len(await event_log.history(f"appstate-{app}")) == 1


async def test_those_in_flight_at_the_end_are_told_that_nobody_knows(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    async with event_log.transaction(f"appstate-{app}", cause=example.cause):
        waiting = asyncio.create_task(event_log.execute(example.decider, app, example.pin(app), cause=example.cause))
        async with asyncio.timeout(5):
            while not event_log._together._running:  # noqa: ASYNC110 - it has no event for it
                await asyncio.sleep(0.001)
        await event_log._together.close()
        with pytest.raises(LogUnavailable):
            await waiting


async def test_two_processes_that_group_their_commands_lose_and_invert_nothing(
    event_log: EventLog, event_log_of: EventLogOf, example: Any, database: Any
) -> None:
    """A few streams, so that groups meet each other's; refusals, so that groups begin again."""
    other = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    chance = random.Random(4)  # noqa: S311 - repeatable on purpose
    wanted: Counter[UUID] = Counter()

    async def call(number: int) -> None:
        app = UUID(int=chance.randrange(STREAMS))
        log, refused = (event_log, other)[number % 2], chance.random() < 0.1
        wanted[app] += not refused
        command = Refusing() if refused else example.pin(app)
        try:
            await log.execute(example.decider, app, command, cause=example.message(uuid4(), 1))
        except RefusedError:
            assert refused

    over, seen = asyncio.Event(), list[tuple[str, int]]()

    async def read() -> None:
        position = Position()
        while True:
            last = over.is_set()
            batch = await event_log.read(position, 50)
            seen.extend((envelope.stream, envelope.version) for _, envelope in batch)
            if batch:
                position = batch[-1][0]
            elif last:
                return
            await asyncio.sleep(0.002)

    reading = asyncio.create_task(read())
    await asyncio.gather(*(call(number) for number in range(CALLS)))
    over.set()
    await reading
    for app, count in wanted.items():
        assert [version for stream, version in seen if stream == f"appstate-{app}"] == list(range(1, count + 1))
    assert await transactions(event_log) < CALLS
