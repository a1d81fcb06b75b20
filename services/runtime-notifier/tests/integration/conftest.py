"""runtime-notifier on a real Postgres, with a scripted runtime."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest_asyncio

from pac.contracts.topics import ServiceName
from pac.testkit.notifier import MakeNotifier, Notifier, notifier_on
from pac.testkit.postgres import EventLogOf
from pac.testkit.webhooks import Webhooks, webhooks_on

MakeWebhooks = Callable[..., Awaitable[Webhooks]]


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


@pytest_asyncio.fixture(loop_scope="session")
async def make_webhooks(event_log_of: EventLogOf) -> AsyncIterator[MakeWebhooks]:
    async with AsyncExitStack() as stack:

        async def make(**options: Any) -> Webhooks:
            log = await event_log_of(ServiceName.RUNTIME_NOTIFIER)
            return await stack.enter_async_context(webhooks_on(log, **options))

        yield make


@pytest_asyncio.fixture(loop_scope="session")
async def webhooks(make_webhooks: MakeWebhooks) -> Webhooks:
    return await make_webhooks()
