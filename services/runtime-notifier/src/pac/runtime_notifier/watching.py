"""Brings one wire to its end at the runtime: asks first, gives when it is not known there, looks until it settles.

Nothing here is written to the books. What the runtime is unclear about is asked again, more and more slowly, until the
hub's deadline; after that it is looked at only now and then, because a runtime that turns ready late must be undone.
Past a limit it is given up: the wire counts as failed, and is looked at even more seldom until the runtime settles it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

import structlog
from pydantic import SecretStr

from pac.eventlog.crashpoints import reach
from pac.runtime_notifier.environments import EnvironmentLost, Environments, Store
from pac.runtime_notifier.errands import Errand, Facts
from pac.runtime_notifier.hiding import Hiding
from pac.runtime_notifier.runtime import (
    Accepted,
    Health,
    Package,
    RefusedByRuntime,
    Unclear,
    Unknown,
    failure_is_retriable,
)
from pac.runtime_notifier.runtimes import Runtimes
from pac.runtime_notifier.scrubbing import scrubbed

logger = structlog.get_logger(__name__)
STOPPED_LOOKS = 3  # the real runtime passes through `stopped` when it deploys an id anew: once is no end


@dataclass(frozen=True)
class Pace:
    """Pauses between looks, in seconds; `url_seconds` is how long a download address is good for."""

    first_seconds: float = 0.01  # a small agent is up in a tenth of a second, one that runs already at once
    longest_seconds: float = 2.0
    late_seconds: float = 5.0
    late_limit_seconds: float = 900.0
    given_up_seconds: float = 60.0
    given_up_longest_seconds: float = 600.0
    url_seconds: int = 900
    away_seconds: float = 5.0  # without a usable answer, until somebody is told


@dataclass(frozen=True)
class Ready:
    pass


@dataclass(frozen=True)
class Failed:
    """`reason` is fit for an event."""

    reason: str
    retriable: bool


@dataclass(frozen=True)
class NotGiven:
    """Nobody wants it any more, or its time is over; the runtime has never had it, or has forgotten it."""


@dataclass(frozen=True)
class GivenUp:
    """Its time is long over, and the runtime may have it: it may yet turn ready."""


@dataclass(frozen=True)
class Later:
    seconds: float


Outcome = Ready | Failed | NotGiven | GivenUp | Later
Wanted = Callable[[], Awaitable[bool]]
Tell = Callable[[datetime | None], Awaitable[None]]


@dataclass
class Absence:
    """Since when the runtime gives no usable answer. `tell` hears of it once that has lasted, and None when it is over.

    `told`: somebody believes that it is away, perhaps from a process before this one.
    """

    tell: Tell
    told: bool = False
    since: datetime | None = None

    async def seen(self, *, answers: bool, at: datetime, lasting_seconds: float) -> None:
        if answers:
            if self.told:
                await self.tell(None)
            self.told, self.since = False, None
            return
        self.since = self.since or at
        if not self.told and (at - self.since).total_seconds() >= lasting_seconds:
            await self.tell(self.since)
            self.told = True


@dataclass(frozen=True)
class Watch:
    """`wanted` says whether the wire should still be given: its delivery is not aborted, its app not deleted."""

    runtimes: Runtimes
    store: Store
    environments: Environments
    pace: Pace
    hiding: Hiding

    async def until_settled(self, errand: Errand, facts: Facts, wanted: Wanted, absence: Absence) -> Outcome:
        pause, stopped = self.pace.first_seconds, 0
        while True:
            health = await self.runtimes[errand.runtime].health(errand.wire_id)
            overdue, answers = errand.overdue(datetime.now(UTC)), not isinstance(health, Unclear)
            stopped = stopped + 1 if isinstance(health, Health) and health.status == "stopped" else 0
            outcome: Outcome | None = await self._told(health, errand, facts, stopped)
            if isinstance(health, Unknown):
                if overdue or not await wanted():
                    return NotGiven()
                given = await self._give(errand, facts)
                outcome = given if isinstance(given, Failed) else None
                answers = not isinstance(given, Unclear)
                pause = self.pace.first_seconds if isinstance(given, Accepted) else pause
            if outcome is not None:
                return outcome
            if overdue:
                return self._late(errand)
            await absence.seen(answers=answers, at=datetime.now(UTC), lasting_seconds=self.pace.away_seconds)
            await asyncio.sleep(pause)
            pause = min(pause * 2, self.pace.longest_seconds)

    async def _told(
        self, health: Health | Unknown | Unclear, errand: Errand, facts: Facts, stopped: int
    ) -> Ready | Failed | None:
        """What the runtime says of a wire that it knows, once that is settled."""
        match health:
            case Health(healthy=True):
                return Ready()
            case Health(status="failed", message=message):
                said = message or "The runtime failed and gives no reason"
                return Failed(await self._fit(said, errand, facts), failure_is_retriable(said))
            case Health() if stopped >= STOPPED_LOOKS:
                return Failed("The runtime stopped it before it was healthy", retriable=True)
            case Unclear(why=why):
                logger.info("runtime_unclear", wire_id=errand.wire_id, why=why)
                return None
            case Health() | Unknown():
                return None
            case _:
                assert_never(health)

    def _late(self, errand: Errand) -> Later | GivenUp:
        late_seconds = self._late_seconds(errand)
        return GivenUp() if late_seconds > self.pace.late_limit_seconds else Later(self.pace.late_seconds)

    def pause_seconds(self, errand: Errand) -> float:
        """Until what was given up is looked at again: a tenth of the time for which it has been late."""
        pace = self.pace
        return min(max(self._late_seconds(errand) / 10, pace.given_up_seconds), pace.given_up_longest_seconds)

    def _late_seconds(self, errand: Errand) -> float:
        assert errand.due_at is not None
        return (datetime.now(UTC) - errand.due_at).total_seconds()

    async def _give(self, errand: Errand, facts: Facts) -> Accepted | Failed | Unclear:
        runtime, environment = self.runtimes[errand.runtime], None
        if runtime.accepts_environment:
            try:
                environment = await self.environments.merged(errand.app_id, facts)
            except EnvironmentLost as lost:
                return Failed(str(lost), retriable=False)
        # Signed anew each time: an address from the last try may be dead by now.
        url = SecretStr(await self.store.presigned_get(facts.object_key, self.pace.url_seconds))
        package = Package(
            wire_id=errand.wire_id,
            account_id=facts.account_id,
            agent_app_id=errand.app_id,
            version=facts.package_version,
            url=url,
            sha256=facts.sha256,
            # The runtime keeps packages by app and version: another release may have left its bytes there.
            force_refresh=facts.force_overwrite or errand.is_again,
            environment=environment,
            traceparent=errand.because.traceparent,
        )
        reach("runtime.before_post")
        answer = await runtime.deploy(package)
        reach("runtime.after_post")
        match answer:
            case Accepted():
                logger.info("package_given", wire_id=errand.wire_id, agent_app_id=str(errand.app_id))
            case Unclear(why=why):
                logger.info("runtime_unclear", wire_id=errand.wire_id, why=why)
            case RefusedByRuntime(reason=reason, retriable=retriable):
                return Failed(await self._fit(reason, errand, facts), retriable)
            case _:
                assert_never(answer)
        return answer

    async def _fit(self, text: str, errand: Errand, facts: Facts) -> str:
        return scrubbed(text, await self._hidden(errand, facts))

    async def _hidden(self, errand: Errand, facts: Facts) -> Sequence[str]:
        """Values that a runtime's text may quote: they were handed to it."""
        try:
            return await self.hiding.values(errand.app_id, facts, errand.runtime)
        except EnvironmentLost:
            return self.hiding.ours  # then it was never handed over
