"""A process from its first line to its last: start in order, run under supervision, end within ten seconds."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import hdrs

from pac.eventlog import ForeignXids, Relay, crashpoints
from pac.servicekit.broker import kafka_producer
from pac.servicekit.health import Admin, Check, Health
from pac.servicekit.http import Route, build_http
from pac.servicekit.idempotency import ClaimSweep
from pac.servicekit.identity import IdentityVerifier
from pac.servicekit.invariants import PATH as INVARIANTS
from pac.servicekit.invariants import Invariants, LawWatch
from pac.servicekit.kafka import Subscriptions
from pac.servicekit.laws import laws_of_every_service
from pac.servicekit.listener import Listener
from pac.servicekit.logging import configure_logging
from pac.servicekit.memory import collect_seldom
from pac.servicekit.metrics import Sample
from pac.servicekit.service import Service
from pac.servicekit.settings import InvalidSettings
from pac.servicekit.supervision import Reader, Supervisor
from pac.servicekit.telemetry import traces_sent

logger = structlog.get_logger(__name__)
# Parts of the ten seconds that an orchestrator gives us.
DRAIN_SECONDS: Final = 5.0  # for requests on their way
IDLE_SECONDS: Final = 1.0  # for connections on which the next request may be on its way
CUT_OFF_SECONDS: Final = 0.5  # aiohttp takes it twice when a handler does not end
CONSUMERS_SECONDS: Final = 4.0
READERS_SECONDS: Final = 1.0
RELAY_SECONDS: Final = 1.5
LONGEST_RETRY_SECONDS: Final = 2.0


@dataclass
class Running:
    """One service in this event loop. Tests start it directly; `run` does it for a process."""

    service: Service
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    admin_port: int = 0
    _public: Listener | None = None

    def __post_init__(self) -> None:
        service = self.service
        self.supervisor = Supervisor(service.metrics)
        self.subscriptions = Subscriptions.of(service)
        self.relay = Relay(service.log, service.name.topic, lambda: kafka_producer(service.settings))
        self.invariants = Invariants(service.log, (*laws_of_every_service(service.log), *service.laws))
        self.health = Health(
            service=service.name.value,
            checks=[
                Check("postgres", self._ask_postgres),
                Check("kafka", self.subscriptions.ask_broker),
                *service.checks,
            ],
            poll_age_seconds=service.consuming.poll_age_seconds,
            details=self._details,
            broken_laws=self.invariants.broken,
        )
        service.metrics.sample(
            Sample("relay_backlog_seconds", "Age of the oldest event not sent yet", service.log.relay_backlog_seconds)
        )
        for sample in service.samples:
            service.metrics.sample(sample)

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["Running"]:
        """Everything runs and is reachable inside; it ends gracefully at the exit."""
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.service.log.close)
            await self._start_admin(stack)
            for resource in self.service.resources:
                await stack.enter_async_context(resource)
            await self._reach_everything()
            await self._until_reached(self.service.log.check_cluster)
            stack.push_async_callback(self._stop_readers)
            self.supervisor.start([*self._others, self.relay])
            stack.push_async_callback(self._stop_traffic)
            await self._until_reached(self.subscriptions.start)
            await self._start_public()
            self.health.ready = True
            logger.info("service_ready", port=self.port, admin_port=self.admin_port)
            try:
                yield self
            finally:
                self.health.stopping = True
                self.stopping.set()
                self.service.log.release_waiters()
                logger.info("service_stopping")

    # ---- start ----------------------------------------------------------------------------------------------------

    async def _start_admin(self, stack: AsyncExitStack) -> None:
        admin = Listener(Admin(self.health, self.service.metrics).app(), drain_seconds=0.2)
        await admin.setup()
        stack.push_async_callback(admin.cleanup)
        self.admin_port = await admin.listen(self.service.settings.host, self.service.settings.admin_port)

    async def _reach_everything(self) -> None:
        """Waits for what is not there yet; says so once."""
        pause, said = 0.1, False
        while away := {name: state for name, state in (await self.health.look()).items() if state != "ok"}:
            if not said:
                logger.warning("service_waits", away=away)
                said = True
            await self._pause(pause)
            pause = min(pause * 2, LONGEST_RETRY_SECONDS)

    async def _until_reached(self, attempt: Callable[[], Awaitable[None]]) -> None:
        pause = 0.2
        while True:
            try:
                await self._unless_stopped(attempt)
            except OSError as away:
                logger.warning("start_waits", error=str(away))
                await self._pause(pause)
                pause = min(pause * 2, LONGEST_RETRY_SECONDS)
            else:
                return

    async def _unless_stopped(self, attempt: Callable[[], Awaitable[None]]) -> None:
        """A server that takes the connection and never answers must not hold up SIGTERM."""
        trying, stopped = asyncio.ensure_future(attempt()), asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait({trying, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not trying.done():
                raise StoppedEarly
            await trying
        finally:
            stopped.cancel()
            if not trying.done():
                trying.cancel()
                await asyncio.wait({trying}, timeout=READERS_SECONDS)

    async def _pause(self, seconds: float) -> None:
        """A pause that SIGTERM ends, and the start with it."""
        try:
            async with asyncio.timeout(seconds):
                await self.stopping.wait()
        except TimeoutError:
            return
        raise StoppedEarly

    async def _start_public(self) -> None:
        service, settings, verifier = self.service, self.service.settings, verifier_of(self.service)
        routes = [*service.routes]
        if verifier is not None:
            routes.append(Route(hdrs.METH_GET, INVARIANTS, self.invariants.get, internal=True))
        app = build_http(
            routes,
            verifier=verifier,
            metrics=service.metrics,
            stopping=self.stopping,
            middlewares=service.middlewares,
            idempotency=service.idempotency,
            body_max_size_bytes=settings.body_max_size_bytes,
            body_timeout_seconds=settings.body_timeout_seconds,
        )
        public = self._public = Listener(app, drain_seconds=CUT_OFF_SECONDS)
        await public.setup()
        self.port = await public.listen(settings.host, settings.port, reuse_port=settings.reuse_port)
        for host, port in service.also_listen:
            await public.listen(host, port, reuse_port=settings.reuse_port)

    # ---- end ------------------------------------------------------------------------------------------------------

    async def _stop_traffic(self) -> None:
        """Nothing new comes in, by HTTP or by Kafka; what has come is brought to its end."""
        draining = [self.subscriptions.stop(timeout_seconds=CONSUMERS_SECONDS)]
        if self._public is not None:
            draining.append(self._stop_public(self._public))
        await asyncio.gather(*draining)

    @staticmethod
    async def _stop_public(public: Listener) -> None:
        await public.drain(idle_seconds=IDLE_SECONDS, seconds=DRAIN_SECONDS)
        await public.cleanup()

    async def _stop_readers(self) -> None:
        """The relay outlives the others, so that what they appended last is sent, if the broker is there."""
        await self.supervisor.stop(self._others, timeout_seconds=READERS_SECONDS)
        await self._let_relay_finish()
        await self.supervisor.stop([self.relay], timeout_seconds=READERS_SECONDS)

    @property
    def _others(self) -> list[Reader]:
        kept = self.service.idempotency
        sweeps = [] if kept is None else [ClaimSweep(kept.claims)]
        return [
            *self.service.readers,
            *self.subscriptions.readers,
            LawWatch(self.invariants, self.service.metrics),
            *sweeps,
        ]

    async def _let_relay_finish(self) -> None:
        try:
            async with asyncio.timeout(RELAY_SECONDS):
                while await self.service.log.relay_backlog_seconds() > 0:  # noqa: ASYNC110 - the table says it
                    await asyncio.sleep(0.02)
        except (TimeoutError, OSError):
            logger.warning("events_left_unsent")  # they are in the log; the next start sends them

    # ---- what it knows --------------------------------------------------------------------------------------------

    async def _ask_postgres(self) -> None:
        await self.service.log.ping()

    def _details(self) -> dict[str, Any]:
        return {"readers": self.supervisor.states, "consumer": self.service.consuming.details()}


class StoppedEarly(Exception):  # noqa: N818 - not a fault
    """SIGTERM came before everything had been reached."""


def verifier_of(service: Service) -> IdentityVerifier | None:
    keys = service.settings.identity_public_key
    if keys is not None:
        return IdentityVerifier.from_base64(service.name, keys)
    if any(not route.public for route in service.routes):
        raise InvalidSettings(["GATEWAY_IDENTITY_PUBLIC_KEY is not set"])
    return None


async def main(build: Callable[[], Service]) -> None:
    service = build()
    collect_seldom()
    settings = service.settings
    configure_logging(service.name.value, settings.log_format, settings.log_level)
    if armed := crashpoints.armed():
        logger.warning("crash_points_armed", points=armed)
    running = Running(service)
    verifier_of(service)  # a missing key is told now, not after Postgres was reached
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.stopping.set)
    with traces_sent(service.name.value, settings):
        try:
            async with running.serve():
                await running.stopping.wait()
        except StoppedEarly:
            logger.info("service_stopped_before_it_was_ready")
    logger.info("service_stopped")


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 - not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop


def run(build: Callable[[], Service]) -> None:
    """`__main__.py` of a service: `run(lambda: build_service(load_settings(Settings)))`."""
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(main(build))
    except InvalidSettings as invalid:
        sys.stderr.writelines(f"{fault}\n" for fault in invalid.faults)
        raise SystemExit(2) from None
    except ForeignXids as foreign:
        sys.stderr.write(f"{foreign}\n")
        raise SystemExit(1) from None
    except OSError as fault:  # a port that is taken
        sys.stderr.write(f"{fault.strerror or fault}\n")
        raise SystemExit(1) from None
