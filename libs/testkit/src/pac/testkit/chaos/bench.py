"""A PAC under the supervisor of `pac up`, in this process: what it runs can be armed, killed and paused by name."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from aiohttp import ClientSession, ClientTimeout

from pac.cli.local import Pace
from pac.cli.local.environment import Wiring
from pac.cli.local.pac import LocalPac
from pac.cli.local.ports import free_port
from pac.cli.local.process import ProcessSpec
from pac.cli.local.services import service_specs
from pac.contracts.topics import ServiceName
from pac.eventlog.crashpoints import VARIABLE, told
from pac.testkit.chaos.schedule import Armed
from pac.testkit.eventually import eventually
from pac.testkit.pac_up import Pac

PACE = Pace(longest_backoff=2.0, settled_after=5.0)
ANSWER_SECONDS = 40.0  # a deploy waits ten for billing; what takes longer than this hangs
LEASE_LOST = '"lease_lost"'
TAKE_LEASE = """
UPDATE log.leases SET holder = 'the bench', token = token + 1,
    expires_at = clock_timestamp() + %s * interval '1 second'
WHERE name = 'relay' AND holder <> 'the bench' AND expires_at > clock_timestamp()
"""


@dataclass
class Ground:
    """A PAC that runs, and what was done to it."""

    pac: Pac
    armed: list[Armed] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)
    notes: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def note(self, text: str) -> None:
        self.notes.append(f"{self.seconds:6.1f} s  {text}")


@dataclass
class Bench(Ground):
    local: LocalPac = field(kw_only=True)

    # ---- crash points --------------------------------------------------------------------------------------------

    async def arm(self, one: Armed, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends the service; the life that follows crashes at the point. Returns when that is ready, or over."""
        one.hits_before = self._told(one)
        lives = self._lives(one.service)
        await self.end(one.service, number, next_life={VARIABLE: one.text})
        self.armed.append(one)
        await eventually(lambda: self._lives(one.service) > lives, seconds=30)
        await eventually(lambda: self.is_ready(one.service) or self.is_hit(one), seconds=60)

    def is_hit(self, one: Armed) -> bool:
        one.hit = one.hit or self._told(one) > one.hits_before
        return one.hit

    async def crash(self, points: Sequence[Armed], *, seconds: float, number: signal.Signals = signal.SIGTERM) -> None:
        """One after the other; each gets so long to be reached."""
        for one in points:
            await self.arm(one, number)
            hit = await self.all_hit([one], seconds=seconds)
            self.note(f"{one.service} {'crashed at' if hit else 'did not come by'} {one.point}")

    async def crash_side_by_side(self, schedule: Mapping[str, Sequence[Armed]], *, seconds: float) -> None:
        """Every service through its list of points."""
        async with asyncio.TaskGroup() as group:
            for points in schedule.values():
                group.create_task(self.crash(points, seconds=seconds))

    async def all_hit(self, points: Sequence[Armed], *, seconds: float) -> bool:
        try:
            return await eventually(lambda: {True} == {self.is_hit(one) for one in points}, seconds=seconds)
        except TimeoutError:
            return False

    def _told(self, one: Armed) -> int:
        return self._said(one.service, told(one.point))

    def _said(self, name: str, words: str) -> int:
        log = self.local.stack.state.logs / f"{name}.log"
        texts = [path.read_text(errors="replace") for path in (log, log.with_name(f"{log.name}.1")) if path.exists()]
        return sum(text.count(words) for text in texts)

    # ---- leases ------------------------------------------------------------------------------------------------------

    async def silence(self, service: ServiceName, *, seconds: float) -> None:
        """Its relay says nothing for so long: the lease is given to one who does nothing with it.

        It has to have the lease first, which it has not before a silence of before is over.
        """
        losses = self._said(service.value, LEASE_LOST)
        url = f"{str(self.pac.status['postgres_url']).rpartition('/')[0]}/{service.module}"
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:

            async def taken() -> bool:
                return (await connection.execute(TAKE_LEASE, (seconds,))).rowcount == 1

            await eventually(taken, seconds=seconds + 40)
        await eventually(lambda: self._said(service.value, LEASE_LOST) > losses, seconds=seconds)

    # ---- processes -----------------------------------------------------------------------------------------------

    async def end(
        self, name: str, number: signal.Signals = signal.SIGKILL, *, next_life: Mapping[str, str] | None = None
    ) -> None:
        """As soon as it runs at all: it may be between two lives."""

        def ended() -> bool:
            try:
                self.local.supervisor.kill(name, number, next_life=next_life)
            except ProcessLookupError:
                return False
            return True

        await eventually(ended, seconds=30)
        self.killed.append(name)
        if next_life is None:
            self.note(f"{number.name} to {name}")

    async def away(self, name: str, seconds: float) -> None:
        """Killed, and as often as the supervisor brings it back; at least once."""
        await self.end(name)
        async with asyncio.timeout(seconds + 30):
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                with contextlib.suppress(ProcessLookupError):
                    self.local.supervisor.kill(name)
                await asyncio.sleep(0.05)

    async def pause(self, name: str, seconds: float) -> None:
        try:
            self.local.supervisor.pause(name)
        except ProcessLookupError:
            return
        self.killed.append(name)
        try:
            await asyncio.sleep(seconds)
        finally:
            self.local.supervisor.resume(name)

    def is_ready(self, name: str) -> bool:
        return any(one.ready for one in self.local.supervisor.status() if one.name == name)

    def _lives(self, name: str) -> int:
        return next(one.restarts for one in self.local.supervisor.status() if one.name == name)

    async def back(self, name: str, *, seconds: float = 60) -> None:
        await self.local.supervisor.wait_ready(name, timeout_seconds=seconds)

    async def lives_again(self, *names: str, seconds: float = 60) -> None:
        """Ends them in good order; returns when each of them is ready in its next life."""
        before = {name: self._lives(name) for name in names}
        for name in names:
            await self.end(name, signal.SIGTERM)
        await eventually(
            lambda: all(self._lives(name) > before[name] and self.is_ready(name) for name in names), seconds=seconds
        )

    async def all_ready(self, *, seconds: float = 60) -> None:
        await self.local.supervisor.wait_ready(timeout_seconds=seconds)


Services = Callable[[Wiring, Path, Path, Path], list[ProcessSpec]]


def quick(folder: Path) -> dict[str, str]:
    """Settings under which what takes hours elsewhere takes a minute, and leftovers are only ours."""
    temporary = folder / "temporary"
    temporary.mkdir(parents=True, exist_ok=True)
    return {
        "GATEWAY_PORT": str(free_port()),
        # An agent that does not start is tried three times, and its app does nothing else meanwhile.
        "DEPLOYMENTS_STEP_BACKOFF_SECONDS": "0.5",
        "PACKAGES_TEMP_DIR": str(temporary),
        "PACKAGES_STAGING_AGE_SECONDS": "60",
        "PACKAGES_SWEEP_INTERVAL_SECONDS": "5",
    }


@asynccontextmanager
async def bench(
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    replicas: int = 1,
    make_services: Services = service_specs,
) -> AsyncIterator[Bench]:
    """Its state is below `folder`, with the temporary files of packages beside it."""
    own = {**os.environ, **quick(folder), **(environment or {})}
    local = LocalPac(folder / "state", own, replicas=replicas, pace=PACE, make_services=make_services)
    await local.start()
    try:
        async with ClientSession(timeout=ClientTimeout(total=ANSWER_SECONDS)) as http:
            yield Bench(Pac(local.status(), http), local=local)
    finally:
        await local.stop()
