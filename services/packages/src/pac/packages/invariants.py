"""What must not last in a live packages: a submission of which nobody says whether it is paid for, lost bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.servicekit.invariants import Finding, Law, found
from pac.servicekit.objects import ObjectMissing, Objects

UNHEARD_LIMIT_SECONDS = 300.0
# By the partial index over what is open.
UNHEARD = text("""
SELECT deployment_id, extract(epoch FROM clock_timestamp() - queued_at) FROM state.submissions
WHERE open AND decision = 'undecided' AND queued_at < clock_timestamp() - :limit * interval '1 second'
ORDER BY queued_at LIMIT 100
""")
OPEN = text("SELECT count(*) FROM state.submissions WHERE open")


async def submissions_are_heard(connection: AsyncConnection) -> Finding:
    """An alarm and not a failure: the submission is in the log, and goes on when whoever is away comes back."""
    rows = (await connection.execute(UNHEARD, {"limit": UNHEARD_LIMIT_SECONDS})).all()
    offenders = [f"deployment {one} has been undecided for {seconds:.0f} s" for one, seconds in rows]
    submissions = int((await connection.execute(OPEN)).scalar_one())
    return found(offenders, submissions, well=f"{submissions} submissions are open, none undecided for long")


# The newest, and some from a random place in the primary key's order: a look costs the store a dozen questions.
SAMPLE = text("""
(SELECT object_key, size_bytes FROM state.packages WHERE status IN ('stored', 'superseded') AND collected_at IS NULL
  ORDER BY created_at DESC LIMIT 4)
UNION
(SELECT object_key, size_bytes FROM state.packages WHERE status IN ('stored', 'superseded') AND collected_at IS NULL
    AND package_id > gen_random_uuid() ORDER BY package_id LIMIT 8)
""")


@dataclass(frozen=True)
class StoredBytes:
    """Objects that packages refer to are there, and of their size. Unchecked while the store is away."""

    objects: Objects

    async def are_there(self, connection: AsyncConnection) -> Finding:
        rows = (await connection.execute(SAMPLE)).all()
        offenders = [fault for key, size_bytes in rows if (fault := await self._fault(key, size_bytes)) is not None]
        return found(offenders, len(rows), well=f"{len(rows)} objects that packages refer to are there")

    async def _fault(self, key: str, size_bytes: int) -> str | None:
        try:
            there = await self.objects.head(key)
        except ObjectMissing:
            return f"{key} is missing"
        return None if there.size_bytes == size_bytes else f"{key} has {there.size_bytes} bytes, not {size_bytes}"


def laws_of_packages(objects: Objects) -> Sequence[Law]:
    return (
        Law("submissions_are_heard", submissions_are_heard),
        Law("stored_bytes_are_there", StoredBytes(objects).are_there),
    )
