from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest_asyncio

from pac.servicekit.objects import ObjectsSettings
from pac.testkit.postgres import DatabaseOf

from .harness import Packages, Tenant, packages_running

PackagesOf = Callable[..., Awaitable[Packages]]


@pytest_asyncio.fixture(loop_scope="session")
async def packages_of(
    database_of: DatabaseOf, objects_settings: ObjectsSettings, tmp_path: Path
) -> AsyncIterator[PackagesOf]:
    """`await packages_of(decision_wait_seconds=10.0)`: the service with other settings."""
    async with AsyncExitStack() as stack:

        async def start(*, work: bool = True, **settings: Any) -> Packages:
            database = await database_of("pac.packages")
            temp_dir = tmp_path / "temporary"
            temp_dir.mkdir()
            opened = packages_running(database, objects_settings, temp_dir, settings, work=work)
            return await stack.enter_async_context(opened)

        yield start


@pytest_asyncio.fixture(loop_scope="session")
async def packages(packages_of: PackagesOf) -> Packages:
    return await packages_of()


@pytest_asyncio.fixture(loop_scope="session")
async def tenant() -> Tenant:
    return Tenant()
