"""What must hold between the tables of secrets and the log; `pac log verify` looks."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

APART: Final = text("""
SELECT format('secrets of app %s are at version %s, their stream is at %s', vault.app_id, vault.version, said.version)
FROM state.vaults AS vault CROSS JOIN LATERAL (
    SELECT coalesce(max(version), 0) AS version FROM log.events WHERE stream = 'secrets-' || vault.app_id
) AS said
WHERE vault.version <> said.version
""")
KEYLESS: Final = text("""
SELECT format('secret %s of app %s has no key', name, app_id) FROM state.secrets
WHERE app_id NOT IN (SELECT app_id FROM state.vaults)
""")


async def secrets_are_as_said(connection: AsyncConnection) -> list[str]:
    return [str(row[0]) for statement in (APART, KEYLESS) for row in await connection.execute(statement)]
