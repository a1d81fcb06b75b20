"""runtime-notifier on a real Postgres, with a scripted runtime."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest_asyncio

from pac.contracts.topics import ServiceName
from pac.testkit.notifier import MakeNotifier, Notifier, notifier_on
from pac.testkit.postgres import EventLogOf


@pytest_asyncio.fixture(loop_scope="session")
async def make_notifier(event_log_of: EventLogOf) -> AsyncIterator[MakeNotifier]:
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Notifier:
            log = await event_log_of(ServiceName.RUNTIME_NOTIFIER)
            return await stack.enter_async_context(notifier_on(log, **options))

        yield make


@pytest_asyncio.fixture(loop_scope="session")
async def notifier(make_notifier: MakeNotifier) -> Notifier:
    return await make_notifier()
