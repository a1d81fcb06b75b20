"""Does the errands of the durable queue, and writes down what came of each: the books, the answer, what follows.

An errand may be done twice, by this process after a crash or by another one: it asks the runtime before it acts, and
what it writes is decided under the app's lock.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import assert_never

import structlog

from pac.eventlog import EventLog, Job, Transaction
from pac.runtime_notifier import running
from pac.runtime_notifier.domain import DELIVERY, AnswerFailed, AnswerReady, Asked, Command, TellAway, TellBack
from pac.runtime_notifier.errands import Errand, Facts
from pac.runtime_notifier.fleet import Fleet, lock_of
from pac.runtime_notifier.running import App, Wire, WireStatus, should_run
from pac.runtime_notifier.runtime import CannotStop, Health, StopTaken, Unclear, Unknown
from pac.runtime_notifier.runtimes import Runtimes
from pac.runtime_notifier.watching import Absence, Failed, GivenUp, Later, NotGiven, Ready, Tell, Watch

logger = structlog.get_logger(__name__)
LIVE = frozenset({WireStatus.PENDING, WireStatus.HEALTHY})
Settle = Callable[[Transaction, App, Wire], Awaitable[App]]


@dataclass(frozen=True)
class Situation:
    """How the books stand when an errand begins. `sibling` serves the same deployment already."""

    wire: Wire
    facts: Facts
    is_wanted: bool
    sibling: Wire | None


@dataclass(frozen=True)
class Courier:
    log: EventLog
    fleet: Fleet
    runtimes: Runtimes
    watch: Watch

    async def handle(self, job: Job) -> None:
        errand = Errand.model_validate(job.payload)
        match errand.kind:
            case "give":
                await self._give(job, errand)
            case "stop":
                await self._stop(job, errand)
            case "look":
                await self._look(job, errand)
            case _:
                assert_never(errand.kind)

    # ---- giving ------------------------------------------------------------------------------------------------

    async def _give(self, job: Job, errand: Errand) -> None:
        now = await self._situation(errand)
        if now.wire.status is not WireStatus.PENDING:
            await self._settle(job, errand, _unchanged)
            return
        if now.sibling is not None and await self._is_healthy(now.sibling):
            await self._settle(job, errand, self._answered_by_another(errand))
            return

        async def wanted() -> bool:
            return (await self._situation(errand)).is_wanted

        known = (await self.log.load(DELIVERY, errand.deployment_id)).state
        is_told = known.away is not None and known.away == now.wire.attempt
        absence = Absence(self._telling(errand, now), is_told)
        outcome = await self.watch.until_settled(errand, now.facts, wanted, absence)
        if isinstance(outcome, Later):
            await job.again(outcome.seconds)
            return
        logger.info("wire_settled", wire_id=errand.wire_id, outcome=type(outcome).__name__.lower())
        await self._settle(job, errand, self._settled(errand, outcome))

    async def _is_healthy(self, wire: Wire) -> bool:
        health = await self.runtimes[wire.runtime].health(wire.id)
        return isinstance(health, Health) and health.healthy

    def _answered_by_another(self, errand: Errand) -> Settle:
        async def settle(tx: Transaction, app: App, wire: Wire) -> App:
            if wire.status is not WireStatus.PENDING:
                return app
            told = await self._answer(tx, errand, app, wire, Ready())
            return running.answered_by_another(app, wire.id) if told else running.turned_stopped(app, wire.id)

        return settle

    def _settled(self, errand: Errand, outcome: Ready | Failed | NotGiven | GivenUp) -> Settle:
        async def settle(tx: Transaction, app: App, wire: Wire) -> App:
            if wire.status is not WireStatus.PENDING:
                return app
            match outcome:
                case Ready():
                    told = await self._answer(tx, errand, app, wire, outcome)
                    return running.turned_ready(app, wire.id, told=told)
                case Failed():
                    await self._answer(tx, errand, app, wire, outcome)
                    return running.turned_failed(app, wire.id)
                case NotGiven():
                    return running.turned_failed(app, wire.id)
                case GivenUp():
                    await self.fleet.look_later(tx, errand, self.watch.pause_seconds(errand))
                    return running.turned_failed(app, wire.id)
                case _:
                    assert_never(outcome)

        return settle

    async def _answer(self, tx: Transaction, errand: Errand, app: App, wire: Wire, outcome: Ready | Failed) -> bool:
        """True if the hub is told: only about the attempt that it waits for, and once."""
        if wire.attempt is None:
            return False
        delivery, facts = app.deliveries[wire.deployment_id], await self.fleet.facts(tx, wire.deployment_id)
        asked, at = Asked(delivery.attempt, delivery.closed), datetime.now(UTC)
        command: Command
        match outcome:
            case Ready():
                command = AnswerReady(facts.account_id, wire.deployment_id, errand.app_id, wire.attempt, asked, at)
            case Failed(reason=reason, retriable=retriable):
                command = AnswerFailed(
                    facts.account_id, wire.deployment_id, errand.app_id, wire.attempt, asked, reason, retriable, at
                )
            case _:
                assert_never(outcome)
        said, _ = await tx.decide(DELIVERY, wire.deployment_id, command)
        return bool(said)

    def _telling(self, errand: Errand, now: Situation) -> Tell:
        """Says to the hub since when the runtime is away, or (None) that it answers again; of its own attempts only."""

        async def tell(since: datetime | None) -> None:
            if (attempt := now.wire.attempt) is None:
                return
            cause, stream = errand.because.cause, DELIVERY.stream(errand.deployment_id)
            async with self.log.transaction(stream, cause=cause, locks=lock_of(errand.app_id)) as tx:
                app = await self.fleet.load(tx, errand.app_id, errand.deployment_id)
                delivery, at = app.deliveries[errand.deployment_id], datetime.now(UTC)
                asked = Asked(delivery.attempt, delivery.closed)
                ids = (now.facts.account_id, errand.deployment_id, errand.app_id, attempt, asked)
                command = TellBack(*ids, at) if since is None else TellAway(*ids, since, at)
                await tx.decide(DELIVERY, errand.deployment_id, command)
            logger.info("runtime_away" if since else "runtime_back", wire_id=errand.wire_id)

        return tell

    # ---- what was given up -----------------------------------------------------------------------------------------

    async def _look(self, job: Job, errand: Errand) -> None:
        """Until the runtime says how it ended. Nobody waits for the answer, but what it serves must be what should."""
        health = await self.runtimes[errand.runtime].health(errand.wire_id)
        match health:
            case Health(healthy=True):
                logger.warning("runtime_ready_after_all", wire_id=errand.wire_id)
                await self._settle(job, errand, _ready_after_all)
            case Unknown() | Health(status="failed" | "stopped"):
                await self._settle(job, errand, _unchanged)
            case Health() | Unclear():
                await job.again(self.watch.pause_seconds(errand))
            case _:
                assert_never(health)

    # ---- stopping ----------------------------------------------------------------------------------------------

    async def _stop(self, job: Job, errand: Errand) -> None:
        answer = await self.runtimes[errand.runtime].stop(errand.wire_id)
        match answer:
            case StopTaken():
                await self._settle(job, errand, _stopped)
            case Unclear(why=why):
                raise ConnectionError(why)  # taken again after a pause, for as long as it takes
            case CannotStop():
                health = await self.runtimes[errand.runtime].health(errand.wire_id)
                if isinstance(health, Unclear):
                    raise ConnectionError(health.why)
                await self._settle(job, errand, _lost if isinstance(health, Unknown) else self._orphan(errand))
            case _:
                assert_never(answer)

    def _orphan(self, errand: Errand) -> Settle:
        """A runtime without unload keeps serving until the next deploy: somebody should know."""

        async def settle(tx: Transaction, app: App, wire: Wire) -> App:
            if app.serving == wire.id and should_run(app) is None:
                await self.fleet.mark_orphan(tx, errand.app_id)
                logger.warning("runtime_orphan", wire_id=wire.id, agent_app_id=str(errand.app_id))
            return app

        return settle

    # ---- the books ---------------------------------------------------------------------------------------------

    async def _situation(self, errand: Errand) -> Situation:
        cause, locks = errand.because.cause, lock_of(errand.app_id)
        async with self.log.transaction(cause=cause, locks=locks) as tx:
            app = await self.fleet.load(tx, errand.app_id, errand.deployment_id)
            facts = await self.fleet.facts(tx, errand.deployment_id)
        wire, delivery = app.wires[errand.wire_id], app.deliveries[errand.deployment_id]
        serving = app.wires[app.serving] if app.serving is not None else None
        sibling = serving if serving and serving.deployment_id == wire.deployment_id else None
        is_wanted = not delivery.closed and not app.is_deleted
        if wire.attempt is None:  # of our own accord: only what should run, which may be something else by now
            is_wanted = should_run(app) == delivery
        return Situation(wire, facts, is_wanted, sibling)

    async def _settle(self, job: Job, errand: Errand, settle: Settle) -> None:
        cause, stream = errand.because.cause, DELIVERY.stream(errand.deployment_id)
        async with self.log.transaction(stream, cause=cause, locks=lock_of(errand.app_id)) as tx:
            before = await self.fleet.load(tx, errand.app_id, errand.deployment_id)
            after = await settle(tx, before, before.wires[errand.wire_id])
            await self.fleet.save(tx, errand.app_id, before, after, cause=cause)
            await job.done(tx)


async def _unchanged(tx: Transaction, app: App, wire: Wire) -> App:
    del tx, wire
    return app


async def _ready_after_all(tx: Transaction, app: App, wire: Wire) -> App:
    del tx
    return running.turned_ready(app, wire.id, told=False) if wire.status is WireStatus.FAILED else app


async def _stopped(tx: Transaction, app: App, wire: Wire) -> App:
    del tx
    return running.turned_stopped(app, wire.id) if wire.status in LIVE else app


async def _lost(tx: Transaction, app: App, wire: Wire) -> App:
    """Nothing of it runs. One that is still to be given is left to its own errand, which knows of the abort."""
    del tx
    return running.was_lost(app, wire.id) if wire.status is WireStatus.HEALTHY else app
