"""A log that a later release has written to: every way of reading it refuses, and nothing is appended on a guess."""

from typing import Any, ClassVar
from uuid import uuid4

import pytest

from pac.contracts.deployments import AppPinned
from pac.contracts.upcasting import NewerThanKnown
from pac.eventlog import EventLog, Position


class PinnedLater(AppPinned):
    data_version: ClassVar[int] = 2


async def test_events_of_a_later_release_are_refused_by_every_reader(event_log: EventLog, example: Any) -> None:
    app = uuid4()
    stream = f"appstate-{app}"
    await event_log.execute(example.decider, app, example.pin(app), cause=example.cause)
    pinned = example.pinned(app, 1)
    async with event_log.transaction(stream, cause=example.cause) as tx:
        await tx.append(stream, [PinnedLater(**pinned.model_dump())], expected_version=1)
    with pytest.raises(NewerThanKnown, match="AppPinned is of version 2"):
        await event_log.load(example.decider, app)
    with pytest.raises(NewerThanKnown):
        await event_log.history(stream)
    with pytest.raises(NewerThanKnown):
        await event_log.read(Position(), 10)
    with pytest.raises(NewerThanKnown):
        await event_log.events(Position(), 10)
    with pytest.raises(NewerThanKnown):
        await event_log.execute(example.decider, app, example.pin(app), cause=example.cause)
    async with event_log.transaction(stream, cause=example.cause) as tx:
        with pytest.raises(NewerThanKnown):
            await tx.load(example.decider, app)
    assert (await event_log.load(example.decider, app, as_of=1)).version == 1
