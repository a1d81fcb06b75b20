"""How long a deployment will take: the median of those that completed last, once for it and for each before it."""

import math
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

UNKNOWN_SECONDS = 120  # the specification's figure, until there is a history to estimate from
ENOUGH = 5
RECENT = 50

_ESTIMATE = text(
    """
    SELECT count(*) AS known,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM completed_at - started_at)) AS median,
           (SELECT count(*) FROM state.submissions WHERE app_id = :app_id AND open AND no < :no) AS before
      FROM (SELECT started_at, completed_at FROM state.submissions
             WHERE completed_at IS NOT NULL AND started_at IS NOT NULL
             ORDER BY completed_at DESC LIMIT :recent) AS recent
    """
)


async def estimated_seconds(connection: AsyncConnection, app_id: UUID, no: int) -> int:
    """An app's deployments run one after the other; what other apps have under way is not counted."""
    asked = {"app_id": app_id, "no": no, "recent": RECENT}
    found = (await connection.execute(_ESTIMATE, asked)).one()
    if found.known < ENOUGH:
        return UNKNOWN_SECONDS
    return max(1, math.ceil(float(found.median) * (int(found.before) + 1)))
