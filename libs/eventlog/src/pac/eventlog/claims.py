"""Claims: the right to do once what a caller may ask for again and again, with what became of it.

A claim is held under a lease, so that a process that dies leaves it to the next one; whoever lost it can commit nothing
on its strength (`bind`). What it came to is kept beside it: first, in the effect's own transaction, an outcome that the
next holder goes on from; at the end the answer. `state.claims` knows neither callers nor keys nor bodies: only digests,
and answers that were sealed before.
"""

from dataclasses import dataclass
from uuid import UUID, uuid4

import orjson
from pydantic import JsonValue
from sqlalchemy.ext.asyncio import AsyncConnection

from pac.eventlog.engine import driver_of
from pac.eventlog.leases import StaleLease
from pac.eventlog.log import EventLog

Outcome = dict[str, JsonValue]

# What is too old begins anew; what nobody holds any more and was not answered is taken over, with its outcome.
CLAIM = """
INSERT INTO state.claims AS held (id, token, leased_until)
VALUES (%(id)s, %(token)s, clock_timestamp() + %(lease)s * interval '1 second')
ON CONFLICT (id) DO UPDATE SET
    token = excluded.token,
    leased_until = excluded.leased_until,
    claimed_at = CASE WHEN held.claimed_at < clock_timestamp() - %(kept)s * interval '1 second'
        THEN excluded.claimed_at ELSE held.claimed_at END,
    fingerprint = CASE WHEN held.claimed_at < clock_timestamp() - %(kept)s * interval '1 second'
        THEN NULL ELSE held.fingerprint END,
    outcome = CASE WHEN held.claimed_at < clock_timestamp() - %(kept)s * interval '1 second'
        THEN NULL ELSE held.outcome END,
    answer = NULL
WHERE (held.answer IS NULL AND held.leased_until < clock_timestamp())
    OR (held.answer IS NOT NULL AND held.claimed_at < clock_timestamp() - %(kept)s * interval '1 second')
RETURNING fingerprint, outcome::text
"""
FOUND = "SELECT fingerprint, answer FROM state.claims WHERE id = %s"
RENEW = """
UPDATE state.claims SET leased_until = clock_timestamp() + %s * interval '1 second'
WHERE id = %s AND token = %s AND answer IS NULL
"""
MARK = "UPDATE state.claims SET fingerprint = %s WHERE id = %s AND token = %s AND answer IS NULL"
BIND = "UPDATE state.claims SET outcome = %s::jsonb WHERE id = %s AND token = %s AND answer IS NULL"
ANSWER = "UPDATE state.claims SET answer = %s WHERE id = %s AND token = %s AND answer IS NULL"
FREE = "DELETE FROM state.claims WHERE id = %s AND token = %s AND answer IS NULL AND outcome IS NULL"
END_LEASE = "UPDATE state.claims SET leased_until = '-infinity' WHERE id = %s AND token = %s AND answer IS NULL"
SWEEP = """
DELETE FROM state.claims WHERE id = ANY (ARRAY(
    SELECT id FROM state.claims WHERE claimed_at < clock_timestamp() - %s * interval '1 second'
        AND (answer IS NOT NULL OR leased_until < clock_timestamp())
    ORDER BY claimed_at LIMIT %s FOR UPDATE SKIP LOCKED))
"""
SWEEP_LIMIT = 1000


@dataclass(frozen=True)
class Claim:
    """Ours, until the lease ends or somebody answers. `fingerprint` and `outcome`: of a holder before us."""

    id: bytes
    token: UUID
    fingerprint: bytes | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True)
class Answered:
    """Done before, and this was the answer, as it was sealed."""

    fingerprint: bytes
    answer: bytes


@dataclass(frozen=True)
class Claims:
    log: EventLog
    lease_seconds: float = 10.0
    kept_seconds: float = 86_400.0

    async def claim(self, claim_id: bytes) -> Claim | Answered | None:
        """None while somebody else is at work on it."""
        token = uuid4()
        asked = {"id": claim_id, "token": token, "lease": self.lease_seconds, "kept": self.kept_seconds}
        async with self.log.reading() as connection:
            driver = await driver_of(connection)
            if (row := await (await driver.execute(CLAIM, asked)).fetchone()) is not None:
                fingerprint, outcome = row
                return Claim(claim_id, token, fingerprint, None if outcome is None else orjson.loads(outcome))
            found = await (await driver.execute(FOUND, (claim_id,))).fetchone()
        if found is None or found[1] is None:
            return None
        return Answered(bytes(found[0]), bytes(found[1]))

    async def renew(self, claim: Claim) -> bool:
        return await self._changed(RENEW, self.lease_seconds, claim.id, claim.token)

    async def mark(self, claim: Claim, fingerprint: bytes) -> None:
        """What was asked for. Raises StaleLease if the claim is another's by now."""
        if not await self._changed(MARK, fingerprint, claim.id, claim.token):
            raise StaleLease("claim")

    async def bind(self, connection: AsyncConnection, claim: Claim, outcome: Outcome) -> None:
        """In the transaction of the effect. Raises StaleLease if the claim is another's: nothing is committed then."""
        row = (orjson.dumps(outcome).decode(), claim.id, claim.token)
        if (await (await driver_of(connection)).execute(BIND, row)).rowcount != 1:
            raise StaleLease("claim")

    async def answer_in(self, connection: AsyncConnection, claim: Claim, answer: bytes) -> None:
        """As `bind`, where the whole answer is known in the transaction of the effect."""
        if (await (await driver_of(connection)).execute(ANSWER, (answer, claim.id, claim.token))).rowcount != 1:
            raise StaleLease("claim")

    async def answer(self, claim: Claim, answer: bytes) -> None:
        """Once; what is answered already stays as it is."""
        await self._changed(ANSWER, answer, claim.id, claim.token)

    async def free(self, claim: Claim) -> None:
        """Nothing was answered that is to be kept: the next one may try, from the outcome on if there is one."""
        if not await self._changed(FREE, claim.id, claim.token):
            await self._changed(END_LEASE, claim.id, claim.token)

    async def sweep(self) -> int:
        """Deletes some of what is too old; how many."""
        async with self.log.reading() as connection:
            return (await (await driver_of(connection)).execute(SWEEP, (self.kept_seconds, SWEEP_LIMIT))).rowcount

    async def _changed(self, statement: str, *parameters: object) -> bool:
        async with self.log.reading() as connection:
            return (await (await driver_of(connection)).execute(statement, parameters)).rowcount == 1
