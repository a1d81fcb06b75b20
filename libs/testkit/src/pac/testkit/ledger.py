"""The laws of money on a live database of billing: for whatever test has had to do with credits."""

from sqlalchemy.ext.asyncio import AsyncConnection

from pac.billing.laws import LedgerBroken, broken_laws, check_ledger
from pac.eventlog import create_engine

__all__ = ["LedgerBroken", "broken_laws", "check_ledger", "money_holds"]


async def money_holds(database_url: str) -> None:
    """Raises LedgerBroken unless every law of money holds, all read at one position."""
    engine = create_engine(database_url, pool_size=1)
    try:
        async with engine.connect() as connection:
            await check_ledger(await _at_one_position(connection))
    finally:
        await engine.dispose()


async def _at_one_position(connection: AsyncConnection) -> AsyncConnection:
    return await connection.execution_options(isolation_level="REPEATABLE READ")
