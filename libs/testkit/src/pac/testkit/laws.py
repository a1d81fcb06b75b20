"""What must hold of every log, whatever happened: checked after every test that had one."""

import psycopg

from pac.eventlog.verify import faults_of


async def broken_laws(database_url: str) -> list[str]:
    """One line per fault: versions contiguous within each stream, positions in their order, the chain unbroken."""
    async with await psycopg.AsyncConnection.connect(database_url, autocommit=True) as connection:
        return [str(fault) async for fault in faults_of(connection)]
