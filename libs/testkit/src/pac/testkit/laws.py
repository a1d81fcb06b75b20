"""What must hold of every log, and of a whole PAC at rest, whatever happened: checked after every test that had one."""

from collections.abc import Mapping
from typing import Any

import psycopg

from pac.eventlog.verify import faults_of


async def broken_laws(database_url: str) -> list[str]:
    """One line per fault: versions contiguous within each stream, positions in their order, the chain unbroken."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        return [str(fault) async for fault in faults_of(connection)]


async def laws_hold(status: Mapping[str, Any], *, patience_seconds: float = 20.0) -> None:
    """Of the PAC of `pac status -o json`: raises LawsBroken unless it comes to rest in time, with every law held."""
    from pac.testkit.whole import World, hold  # noqa: PLC0415 - loads the AWS library, which most tests do not need

    await hold(World.of(status), patience_seconds=patience_seconds)
