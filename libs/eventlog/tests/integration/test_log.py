"""Commands and transactions on a real Postgres."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import text

from pac.eventlog import AlreadySeen, Conflict, EventLog, TooEarly, Transaction
from pac.eventlog.engine import translated
from pac.eventlog.record import Head


async def test_a_command_is_decided_recorded_and_folded(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    recorded = await event_log.execute(example.decider, app, example.pin(app, times=3), cause=example.cause)
    assert (recorded.version, recorded.state.count) == (3, 3)
    assert await event_log.load(example.decider, app) == recorded
    history = await event_log.history(f"appstate-{app}")
    assert [envelope.version for envelope in history] == [1, 2, 3]
    assert history[1].event == example.pinned(app, 1)
    assert {envelope.actor for envelope in history} == {"key-1"}
    assert {envelope.correlation_id for envelope in history} == {example.cause.correlation_id}


async def test_a_stream_is_loaded_as_of_a_version_or_a_moment(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    await event_log.execute(example.decider, app, example.pin(app, times=5), cause=example.cause)
    assert (await event_log.load(example.decider, app, as_of=2)).state.count == 2
    moment = example.pin(app).at + timedelta(seconds=2.5)
    assert (await event_log.load(example.decider, app, as_of=moment)).state.count == 3
    assert (await event_log.load(example.decider, app, as_of=moment - timedelta(days=1))).is_empty


async def test_fifty_commands_at_once_on_one_stream_all_happen(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    command = example.pin(app)
    done = await asyncio.gather(
        *(event_log.execute(example.decider, app, command, cause=example.cause) for _ in range(50))
    )
    assert sorted(recorded.version for recorded in done) == list(range(1, 51))


async def test_of_writers_that_expect_the_same_version_one_wins(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    stream = f"appstate-{app}"

    async def write() -> bool:
        try:
            async with event_log.transaction(stream, cause=example.cause) as tx:
                await tx.append(stream, [example.pinned(app)], expected_version=0)
        except Conflict:
            return False
        return True

    assert sum(await asyncio.gather(*(write() for _ in range(20)))) == 1


async def test_a_writer_that_forgot_the_lock_meets_the_unique_key(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    stream = f"appstate-{app}"
    async with event_log.transaction(cause=example.cause) as tx:
        await event_log.execute(example.decider, app, example.pin(app), cause=example.cause)
        tx._heads[stream] = Head()
        with pytest.raises(psycopg.errors.UniqueViolation) as violation:
            await tx.append(stream, [example.pinned(app)], expected_version=0)
    assert isinstance(translated(violation.value, stream), Conflict)


async def test_an_unlocked_stream_is_not_written(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    with pytest.raises(ValueError, match="not among the streams"):
        async with event_log.transaction("appstate-other", cause=example.cause) as tx:
            await tx.decide(example.decider, app, example.pin(app))


async def test_several_streams_change_together_or_not_at_all(event_log: EventLog, example: Any) -> None:
    one, other = uuid4(), uuid4()
    streams = (f"appstate-{one}", f"appstate-{other}")
    with contextlib.suppress(ZeroDivisionError):
        async with event_log.transaction(*streams, cause=example.cause) as tx:
            await tx.decide(example.decider, one, example.pin(one))
            await tx.decide(example.decider, other, example.pin(other, times=2))
            raise ZeroDivisionError
    assert (await event_log.load(example.decider, one)).is_empty
    async with event_log.transaction(*streams, cause=example.cause) as tx:
        await tx.decide(example.decider, one, example.pin(one))
        await tx.decide(example.decider, one, example.pin(one))
        _, recorded = await tx.decide(example.decider, other, example.pin(other, times=2))
    assert recorded.version == 2
    assert (await event_log.load(example.decider, one)).version == 2


async def test_a_services_own_rows_are_in_the_transaction(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    async with event_log.engine.begin() as connection:
        await connection.execute(text("CREATE TABLE state.counts (app uuid PRIMARY KEY, count int)"))

    async def count(tx: Transaction, _: Any, events: Sequence[Any], after: Any) -> None:
        await tx.execute(text("INSERT INTO state.counts VALUES (:app, :count)"), {"app": app, "count": after.count})
        if len(events) > 1:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await event_log.execute(example.decider, app, example.pin(app, times=2), cause=example.cause, then=count)
    await event_log.execute(example.decider, app, example.pin(app), cause=example.cause, then=count)
    async with event_log.reading() as connection:
        assert (await connection.execute(text("SELECT app, count FROM state.counts"))).all() == [(app, 1)]
    assert (await event_log.load(example.decider, app)).version == 1


async def test_a_message_has_its_effect_once(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    message = example.message(app, 1)
    await event_log.execute(example.decider, app, example.pin(app), cause=message)
    with pytest.raises(AlreadySeen):
        await event_log.execute(example.decider, app, example.pin(app), cause=message)
    (envelope,) = await event_log.history(f"appstate-{app}")
    assert envelope.causation_id == message.envelope.id
    assert envelope.correlation_id == message.envelope.correlation_id


async def test_a_gap_in_what_is_heard_is_too_early(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    with pytest.raises(TooEarly):
        await event_log.advance(example.message(app, 2))
    assert await event_log.advance(example.message(app, 1))
    with pytest.raises(TooEarly):
        await event_log.advance(example.message(app, 3))
    assert await event_log.advance(example.message(app, 2))
    assert not await event_log.advance(example.message(app, 1))
    assert await event_log.inbox("packages", "gateway", f"app-{app}") == 2
    assert await event_log.inbox("billing", "gateway", f"app-{app}") == 0


async def test_replicas_that_hear_a_message_at_once_act_once(event_log: EventLog, example: Any) -> None:
    """Each on a stream of its own, so that only the inbox stands between them."""
    heard = uuid4()
    for version in (1, 2, 3):
        message = example.message(heard, version)
        results = await asyncio.gather(
            *(
                event_log.execute(example.decider, app, example.pin(app), cause=message)
                for app in (uuid4() for _ in range(8))
            ),
            return_exceptions=True,
        )
        assert sum(not isinstance(result, BaseException) for result in results) == 1
        assert sum(isinstance(result, AlreadySeen) for result in results) == 7


async def test_rollbacks_do_not_take_the_prepared_statements_along(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    for _ in range(2):
        async with event_log.engine.connect() as connection:
            for _ in range(8):  # as often as psycopg needs to prepare it
                await connection.execute(text("SELECT version FROM log.events WHERE stream = :stream"), {"stream": "x"})
        await event_log.execute(example.decider, app, example.pin(app), cause=example.cause)
        async with event_log.transaction(f"appstate-{app}", cause=example.cause) as tx:
            await (await tx.connection.begin_nested()).rollback()
            await tx.decide(example.decider, app, example.pin(app))
    assert (await event_log.load(example.decider, app)).version == 4


async def test_a_stream_that_only_grows_is_added_to_without_a_look_at_its_events(
    event_log: EventLog, example: Any
) -> None:
    app = uuid4()
    stream = f"appstate-{app}"

    async def grow(number: int) -> None:
        async with event_log.transaction(stream, cause=example.cause) as tx:
            version = await tx.version(stream)
            assert await tx.version(stream) == version
            await tx.append(stream, [example.pinned(app, number)], expected_version=version)
            assert await tx.version(stream) == version + 1

    await asyncio.gather(*(grow(number) for number in range(8)))
    assert [told.version for told in await event_log.history(stream)] == list(range(1, 9))
    async with event_log.transaction(stream, cause=example.cause) as tx:
        with pytest.raises(ValueError, match="not among the streams"):
            await tx.version("appstate-another")
