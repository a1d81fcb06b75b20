"""What must not be in a live hub: a state without a deadline, one that nobody meets, a wait or an abort without end."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.deployments.queries import Thresholds
from pac.servicekit.invariants import Finding, Law, found

OVERDUE = text("""
SELECT deployment_id, status, extract(epoch FROM clock_timestamp() - due_at) FROM state.queue
WHERE due_at < clock_timestamp() - :late * interval '1 second' ORDER BY due_at LIMIT 100
""")
# The wait for a credit decision alone has none: billing's outage is nobody's failure.
ENDLESS = text("""
SELECT deployment_id, status FROM state.queue WHERE due_at IS NULL AND status <> 'undecided' LIMIT 100
""")
UNDECIDED = text("""
SELECT deployment_id, extract(epoch FROM clock_timestamp() - queued_at) FROM state.queue
WHERE status = 'undecided' AND queued_at < clock_timestamp() - :limit * interval '1 second' ORDER BY queued_at LIMIT 100
""")
UNDECIDED_LIMIT_SECONDS = 300.0
UNENDING = text("""
SELECT deployment_id, status, attempt FROM state.queue
WHERE status IN ('finalizing', 'aborting') AND attempt > :asked ORDER BY attempt DESC LIMIT 100
""")
OPEN = text("SELECT count(*) FROM state.queue")


def laws_of_deployments(limits: Thresholds) -> tuple[Law, ...]:
    async def nothing_is_overdue(connection: AsyncConnection) -> Finding:
        rows = (await connection.execute(OVERDUE, {"late": limits.late_seconds})).all()
        offenders = [f"deployment {one} is {status}, {late:.0f} s past its deadline" for one, status, late in rows]
        return found(offenders, await _open(connection), well="every deadline is ahead or being met")

    async def everything_has_a_deadline(connection: AsyncConnection) -> Finding:
        rows = (await connection.execute(ENDLESS)).all()
        offenders = [f"deployment {one} is {status} without a deadline" for one, status in rows]
        return found(offenders, await _open(connection), well="every open state has its deadline")

    async def billing_answers(connection: AsyncConnection) -> Finding:
        rows = (await connection.execute(UNDECIDED, {"limit": UNDECIDED_LIMIT_SECONDS})).all()
        offenders = [f"deployment {one} has waited for credits for {seconds:.0f} s" for one, seconds in rows]
        return found(offenders, await _open(connection), well="nobody waits for credits for long")

    async def every_end_comes(connection: AsyncConnection) -> Finding:
        rows = (await connection.execute(UNENDING, {"asked": limits.asked})).all()
        offenders = [f"deployment {one} is {status}, asked {attempt} times" for one, status, attempt in rows]
        return found(offenders, await _open(connection), well="nothing is asked for again and again")

    return (
        Law("nothing_is_overdue", nothing_is_overdue),
        Law("everything_has_a_deadline", everything_has_a_deadline),
        Law("billing_answers", billing_answers),
        Law("every_end_comes", every_end_comes),
    )


async def _open(connection: AsyncConnection) -> int:
    return int((await connection.execute(OPEN)).scalar_one())
