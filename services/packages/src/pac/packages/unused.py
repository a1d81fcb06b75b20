"""Which bytes nobody needs: the rule, over the rows of packages, and what it would remove. It only reads.

Bytes are needed by a package that can be deployed, by an open deployment, and by an app's current release also when
its package was deleted; and for a while (`since`) after the last of that has ended, for a retry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.contracts.base import Step

NEEDED: Final = """(
    p.status IN ('uploading', 'stored', 'superseded') AND NOT coalesce(a.deleted, false)
    OR coalesce(a.current_package_id = p.package_id AND NOT a.deleted, false)
    OR EXISTS (SELECT FROM state.submissions AS s WHERE s.package_id = p.package_id AND s.open)
    OR coalesce(
        greatest(
            p.withdrawn_at, p.deleted_at, a.deleted_at,
            CASE WHEN p.status = 'deleted' OR a.deleted THEN p.created_at END
        ), 'infinity') > :since
)"""
ROW: Final = "p.package_id, p.app_id, p.object_key, p.staging_key, p.size_bytes, p.done"
ENDED: Final = text(f"""
WITH ended AS (
    SELECT package_id FROM state.packages
     WHERE collected_at IS NULL AND status IN ('rejected', 'withdrawn', 'deleted')
    UNION
    SELECT p.package_id FROM state.apps AS a JOIN state.packages AS p USING (app_id)
     WHERE a.deleted AND p.collected_at IS NULL
)
SELECT {ROW} FROM ended JOIN state.packages AS p USING (package_id) LEFT JOIN state.apps AS a ON a.app_id = p.app_id
 WHERE NOT {NEEDED} ORDER BY p.object_key LIMIT :limit
""")  # noqa: S608 - texts above
OF_OBJECT: Final = text(f"""
SELECT {ROW}, {NEEDED} AS needed FROM state.packages AS p LEFT JOIN state.apps AS a ON a.app_id = p.app_id
 WHERE p.object_key = :key AND p.collected_at IS NULL ORDER BY p.package_id
""")  # noqa: S608 - texts above
SEALED: Final = text("""
SELECT sealed_key, package_id FROM state.submissions
 WHERE package_id = ANY(:ids) AND sealed_key IS NOT NULL GROUP BY 1, 2 ORDER BY 1
""")
LIMIT: Final = 500


@dataclass(frozen=True)
class Unused:
    """An object that would go, and the packages whose bytes it holds, or whose environment."""

    key: str
    size_bytes: int | None  # of an environment it is not known
    package_ids: tuple[UUID, ...]


async def ended(connection: AsyncConnection, since: datetime, limit: int = LIMIT) -> Sequence[Row[Any]]:
    """Packages whose bytes they need no more since `since` at the latest; others may need the same bytes."""
    return (await connection.execute(ENDED, {"since": since, "limit": limit})).all()


async def packages_of(connection: AsyncConnection, key: str, since: datetime) -> Sequence[Row[Any]]:
    """Those that refer to a content address, each with whether it is `needed`."""
    return (await connection.execute(OF_OBJECT, {"key": key, "since": since})).all()


async def unused(connection: AsyncConnection, since: datetime, limit: int = LIMIT) -> list[Unused]:
    """What would be removed now: staged objects, content addresses that none of their packages needs, environments."""
    rows = await ended(connection, since, limit)
    found = [Unused(row.staging_key, row.size_bytes, (row.package_id,)) for row in rows if row.staging_key is not None]
    for key in sorted({row.object_key for row in rows}):
        shared = await packages_of(connection, key, since)
        is_there = any(Step.UPLOAD_TO_S3.value in row.done for row in shared)
        if is_there and not any(row.needed for row in shared):
            found.append(Unused(key, shared[0].size_bytes, tuple(row.package_id for row in shared)))
    sealed = await connection.execute(SEALED, {"ids": [row.package_id for row in rows]})
    return found + [Unused(key, None, (package_id,)) for key, package_id in sealed]
