"""What must not last in a live packages: a submission of which nobody says whether it is paid for."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.servicekit.invariants import Finding, Law, found

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


LAWS_OF_PACKAGES = (Law("submissions_are_heard", submissions_are_heard),)
