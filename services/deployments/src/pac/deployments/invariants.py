"""What must not last in a live hub: deadlines that nobody meets, aborts that do not end."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.deployments.queries import Thresholds
from pac.servicekit.invariants import Finding, Law, found

OVERDUE = text("""
SELECT deployment_id, status, extract(epoch FROM clock_timestamp() - due_at) FROM state.queue
WHERE due_at < clock_timestamp() - :late * interval '1 second' ORDER BY due_at LIMIT 100
""")
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

    async def every_end_comes(connection: AsyncConnection) -> Finding:
        rows = (await connection.execute(UNENDING, {"asked": limits.asked})).all()
        offenders = [f"deployment {one} is {status}, asked {attempt} times" for one, status, attempt in rows]
        return found(offenders, await _open(connection), well="nothing is asked for again and again")

    return (Law("nothing_is_overdue", nothing_is_overdue), Law("every_end_comes", every_end_comes))


async def _open(connection: AsyncConnection) -> int:
    return int((await connection.execute(OPEN)).scalar_one())
