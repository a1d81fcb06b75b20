"""A driver of runtime-notifier: its parts on a real Postgres, a scripted runtime, and what the hub says as messages."""

import asyncio
import base64
import itertools
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr
from sqlalchemy import text

from pac.contracts.base import Event, Outcome, SealedEnvironment, Step
from pac.contracts.deployments import DeploymentAborted, DeploymentCompleted, StepStarted
from pac.contracts.envelope import Envelope
from pac.contracts.gateway import AgentAppChanged, AgentAppCreated, AgentAppDeleted
from pac.eventlog import EventLog, Jobs, Message, Worker
from pac.runtime_notifier.consumers import Consumers
from pac.runtime_notifier.courier import Courier
from pac.runtime_notifier.environments import Environments
from pac.runtime_notifier.errands import QUEUE
from pac.runtime_notifier.fleet import Fleet
from pac.runtime_notifier.hiding import Hiding
from pac.runtime_notifier.reconciler import Reconciler
from pac.runtime_notifier.running import DEFAULT_RUNTIME
from pac.runtime_notifier.runtime import Runtime
from pac.runtime_notifier.runtimes import Runtimes
from pac.runtime_notifier.secrets.envelope import KeyRing
from pac.runtime_notifier.secrets.vault import Vault
from pac.runtime_notifier.watching import Pace, Watch
from pac.runtime_notifier.webhooks.outbox import Outbox
from pac.servicekit.objects import ObjectMissing
from pac.servicekit.sealing import environment_context, key_id, public_key_of, seal
from pac.testkit.fake_runtime import FakeRuntime, fake_runtime

ACCOUNT = UUID(int=1)
PATIENCE_SECONDS = 20.0
SIGNATURE = "5e1f5e1f"
QUICK = Pace(first_seconds=0.02, longest_seconds=0.1, late_seconds=0.1, late_limit_seconds=30.0)


@dataclass
class MemoryStore:
    """An object store that signs as S3 does, and counts how often."""

    objects: dict[str, bytes] = field(default_factory=dict)
    signed: int = 0

    async def presigned_get(self, key: str, seconds: int) -> str:
        self.signed += 1
        return f"http://127.0.0.1:9000/bucket/{key}?X-Amz-Expires={seconds}&X-Amz-Signature={SIGNATURE}{self.signed}"

    async def get_bytes(self, key: str, *, max_bytes: int = 1_048_576) -> bytes:
        if key not in self.objects:
            raise ObjectMissing(key)
        return self.objects[key][:max_bytes]


@dataclass
class Notifier:
    log: EventLog
    fake: FakeRuntime
    store: MemoryStore
    sealing_key: bytes
    consumers: Consumers
    jobs: Jobs
    courier: Courier
    reconciler: Reconciler
    vault: Vault
    hiding: Hiding
    worker: asyncio.Task[None] | None = None
    patience_seconds: float = PATIENCE_SECONDS
    parallel: int = 16
    versions: dict[str, Iterator[int]] = field(default_factory=dict)

    # ---- the process ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        worker = Worker(self.jobs, self.courier.handle, parallel=self.parallel, lease_seconds=2.0)
        self.worker = asyncio.create_task(worker.run())

    async def stop(self) -> None:
        if self.worker is not None:
            self.worker.cancel()
            await asyncio.gather(self.worker, return_exceptions=True)
            self.worker = None

    # ---- what it hears -------------------------------------------------------------------------------------------

    def message(self, source: str, stream: str, event: Event) -> Message[Any]:
        version = next(self.versions.setdefault(stream, itertools.count(1)))
        return Message("runtime-notifier", Envelope(uuid4(), source, stream, version, event, "key-1", uuid4()))

    async def app(self) -> UUID:
        app_id = uuid4()
        await self.hear_app(AgentAppCreated(account_id=ACCOUNT, at=datetime.now(UTC), agent_app_id=app_id))
        return app_id

    async def hear_app(self, event: AgentAppCreated | AgentAppChanged | AgentAppDeleted) -> None:
        await self.consumers.on_gateway_event(self.message("gateway", f"app-{event.agent_app_id}", event))

    async def delete_app(self, app_id: UUID) -> None:
        await self.hear_app(AgentAppDeleted(account_id=ACCOUNT, at=datetime.now(UTC), agent_app_id=app_id))

    async def choose_runtime(self, app_id: UUID, runtime: str) -> None:
        event = AgentAppChanged(account_id=ACCOUNT, at=datetime.now(UTC), agent_app_id=app_id, runtime=runtime)
        await self.hear_app(event)

    async def hear(self, deployment_id: UUID, event: Event) -> Message[Any]:
        message = self.message("deployments", f"deployment-{deployment_id}", event)
        await self.consumers.on_deployments_event(message)
        return message

    async def notify(
        self,
        app_id: UUID,
        deployment_id: UUID,
        release: int,
        *,
        attempt: int = 1,
        due_seconds: float = 30.0,
        environment: SealedEnvironment | None = None,
    ) -> Message[Any]:
        event = StepStarted(
            account_id=ACCOUNT,
            at=datetime.now(UTC),
            deployment_id=deployment_id,
            step=Step.NOTIFY_RUNTIME,
            attempt=attempt,
            due_at=datetime.now(UTC) + timedelta(seconds=due_seconds),
            agent_app_id=app_id,
            package_id=uuid4(),
            package_version="1.0.0",
            sha256="0" * 64,
            size_bytes=1,
            object_key=f"packages/{deployment_id}.apkg",
            release=release,
            environment=environment,
        )
        return await self.hear(deployment_id, event)

    async def abort(self, app_id: UUID, deployment_id: UUID) -> None:
        await self.hear(
            deployment_id,
            DeploymentAborted(
                account_id=ACCOUNT,
                at=datetime.now(UTC),
                deployment_id=deployment_id,
                agent_app_id=app_id,
                package_id=uuid4(),
                outcome=Outcome.CANCELLED,
                code="cancelled",
                error="Cancelled",
                due_at=datetime.now(UTC),
            ),
        )

    async def complete(self, app_id: UUID, deployment_id: UUID, release: int) -> None:
        await self.hear(
            deployment_id,
            DeploymentCompleted(
                account_id=ACCOUNT,
                at=datetime.now(UTC),
                deployment_id=deployment_id,
                agent_app_id=app_id,
                package_id=uuid4(),
                package_version="1.0.0",
                sha256="0" * 64,
                size_bytes=1,
                object_key=f"packages/{deployment_id}.apkg",
                release=release,
                no=release,
            ),
        )

    async def running(self, app_id: UUID, release: int) -> UUID:
        """A deployment that completed."""
        deployment_id = uuid4()
        await self.notify(app_id, deployment_id, release)
        await self.said(deployment_id, 1)
        await self.complete(app_id, deployment_id, release)
        return deployment_id

    def sealed(self, deployment_id: UUID, values: dict[str, str]) -> SealedEnvironment:
        public = public_key_of(self.sealing_key)
        key = f"sealed/{deployment_id}"
        self.store.objects[key] = seal(public, json.dumps(values).encode(), environment_context(deployment_id))
        return SealedEnvironment(object_key=key, key_id=key_id(public), names=tuple(values), fingerprints={})

    # ---- what came of it -----------------------------------------------------------------------------------------

    async def events(self, deployment_id: UUID) -> list[Event]:
        return [told.event for told in await self.log.history(f"delivery-{deployment_id}")]

    async def said(self, deployment_id: UUID, count: int) -> list[Event]:
        """The first `count` events, as soon as they are there."""

        async def enough() -> bool:
            return len(await self.events(deployment_id)) >= count

        await self.until(enough, f"{count} events of {deployment_id}")
        return (await self.events(deployment_id))[:count]

    async def until(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            async with asyncio.timeout(self.patience_seconds):
                while not await condition():  # noqa: ASYNC110 - the world is asked: nobody tells
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"never: {what}; posted {self.fake.given()}") from None

    async def serves(self, app_id: UUID, prefix: object) -> None:
        """Waits until exactly the wires that begin with `prefix` run of an app, one of them; none for None."""

        async def right() -> bool:
            serving = self.fake.serving(app_id)
            if prefix is None:
                return not serving
            return len(serving) == 1 and serving[0].startswith(str(prefix))

        await self.until(right, f"{prefix} serves")

    async def at_rest(self) -> None:
        async def empty() -> bool:
            return await self.jobs.count() == 0

        await self.until(empty, "no job is left")

    async def everything_written(self) -> str:
        """Every text that the database holds."""
        tables = (
            "log.events",
            "log.inbox",
            "log.parked",
            "state.jobs",
            "state.apps",
            "state.deliveries",
            "state.wires",
            "state.vaults",
            "state.secrets",
        )
        found = []
        async with self.log.reading() as connection:
            for table in tables:
                rows = await connection.execute(text(f"SELECT t::text FROM {table} t"))  # noqa: S608 - names above
                found += [row[0] for row in rows]
        return "\n".join(found)


def new_ring() -> KeyRing:
    return KeyRing.from_base64(base64.b64encode(secrets.token_bytes(32)).decode())


MakeNotifier = Callable[..., Awaitable[Notifier]]


def runtime_of(fake: FakeRuntime, accepts_environment: bool) -> Runtime:  # noqa: FBT001 - as in a table above
    return Runtime(
        fake.url,
        SecretStr(fake.secret),
        timeout_seconds=1.0,
        answer_max_bytes=65_536,
        accepts_environment=accepts_environment,
    )


@asynccontextmanager
async def notifier_on(
    log: EventLog,
    *,
    accepts_environment: bool = False,
    pace: Pace = QUICK,
    parallel: int = 16,
    more: Mapping[str, FakeRuntime] = MappingProxyType({}),
    **options: Any,
) -> AsyncIterator[Notifier]:
    """A notifier whose worker runs; `options` are the default runtime's, `more` are others, by name."""
    async with fake_runtime(**options) as fake:
        driven = {DEFAULT_RUNTIME: (fake, accepts_environment), **{name: (one, False) for name, one in more.items()}}
        async with Runtimes({name: runtime_of(*each) for name, each in driven.items()}) as runtimes:
            jobs, store, sealing_key = Jobs(log, QUEUE), MemoryStore(), secrets.token_bytes(32)
            fleet = Fleet(jobs, again_seconds=30.0)
            vault = Vault(log, new_ring())
            environments = Environments(store, vault, sealing_key)
            hiding = Hiding(environments, runtimes)
            watch = Watch(runtimes, store, environments, pace, hiding)
            courier = Courier(log, fleet, runtimes, watch)
            reconciler = Reconciler(log, fleet, runtimes, interval_seconds=0.1)
            consumers = Consumers(log, fleet, Outbox.of(log), erasers=(vault.erase,))
            notifier = Notifier(log, fake, store, sealing_key, consumers, jobs, courier, reconciler, vault, hiding)
            notifier.parallel = parallel
            notifier.start()
            try:
                yield notifier
            finally:
                await notifier.stop()
