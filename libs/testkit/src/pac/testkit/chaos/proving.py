"""Proofs of deployments, taken while things break and again at rest, and checked as `pac verify` checks them.

Each one that is answered must be sound, and must be unsound once any one bit of it is turned.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import ClientError

from pac.servicekit.proof.chains import PinnedKeys
from pac.servicekit.proof.verdict import Verdict, verdict_on
from pac.testkit.chaos.load import Load
from pac.testkit.holds import Figure

PAUSE_SECONDS = 0.25
AT_ONCE = 4


@dataclass
class Proofs:
    """`sound` of those answered; the faults of the rest are the load's. `partial` ones leave out who was away."""

    load: Load
    pinned: PinnedKeys
    sound: int = 0
    partial: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    @property
    def figures(self) -> dict[str, Figure]:
        return {"proofs sound": self.sound, "of them partial": self.partial}

    async def take_on(self) -> None:
        """Of deployments at random, one after the other, for as long as it is let."""
        while True:
            if self.load.accepted:
                await self.take(self.load.random.choice(list(self.load.accepted)))
            await asyncio.sleep(PAUSE_SECONDS)

    async def take_all(self) -> None:
        """Of every deployment, at rest: nothing may be left out, and the end must be the one that was shown."""
        hands = asyncio.Semaphore(AT_ONCE)

        async def one(deployment: str) -> None:
            async with hands:
                verdict = await self.take(deployment)
            shown = self.load.accepted[deployment].end.get("outcome")
            if verdict is None:
                self.load.fault(f"no sound proof of {deployment} at rest: {dict(self.answers)}")
            elif verdict.missing or verdict.outcome != shown:
                self.load.fault(f"{deployment} ended {shown}; its proof: {verdict.outcome}, without {verdict.missing}")

        await asyncio.gather(*map(one, self.load.accepted))

    async def take(self, deployment: str) -> Verdict | None:
        """None if there was no answer, as may be while things break, or if it was not sound, which is a fault."""
        pac, about = self.load.bench.pac, self.load.accepted[deployment]
        path, headers = f"/api/deployments/{deployment}/proof", {"Authorization": f"Bearer {about.tenant.key}"}
        try:
            async with pac.http.get(pac.url + path, headers=headers) as answer:
                status, content = answer.status, await answer.read()
        except (ClientError, OSError) as lost:
            self.answers[type(lost).__name__] += 1
            return None
        self.answers[str(status)] += 1
        if status != 200:
            if status != 503 or "Retry-After" not in answer.headers:
                self.load.fault(f"proof of {deployment}: {status} {answer.reason} {content[:200]!r}")
            return None
        turned = bytearray(content)
        turned[self.load.random.randrange(len(turned))] ^= 1 << self.load.random.randrange(8)
        verdict, of_turned = await asyncio.to_thread(self._verdicts, content, bytes(turned))
        if not verdict.sound or of_turned.sound:
            said = "; ".join(map(str, verdict.faults)) or "is sound with a bit turned, too"
            self.load.fault(f"proof of {deployment}: {said}")
            return None
        self.sound += 1
        self.partial += bool(verdict.missing)
        return verdict

    def _verdicts(self, *contents: bytes) -> list[Verdict]:
        return [verdict_on(content, self.pinned) for content in contents]


@asynccontextmanager
async def proving(load: Load) -> AsyncIterator[Proofs]:
    """Takes proofs meanwhile."""
    answer = await load.bench.pac.call("GET", "/.well-known/pac-proof-keys")
    proofs = Proofs(load, PinnedKeys.read(orjson.dumps(answer.body)))
    taking = asyncio.create_task(proofs.take_on())
    try:
        yield proofs
    finally:
        taking.cancel()
        await asyncio.wait([taking])
    if not taking.cancelled():
        taking.result()
