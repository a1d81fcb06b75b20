"""Local infrastructure in one object: what tests and `pac up` start, and what they ask it for."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pac.cli.cache import cache_folder as folder_of
from pac.cli.local.errors import Expected
from pac.cli.local.kafka import Kafka
from pac.cli.local.postgres import Database, Postgres, drop_database, ensure_database
from pac.cli.local.process import ProcessSpec
from pac.cli.local.records import end_leftovers
from pac.cli.local.s3 import S3, S3Settings
from pac.cli.local.state import Lock, StateFolder
from pac.cli.local.supervisor import Pace, Supervisor

Say = Callable[[str], None]
Part = TypeVar("Part")


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """Where downloads are kept; see `cache.py`."""
    return folder_of(environment)


def _asked_for(part: Part | None, name: str) -> Part:
    if part is None:
        raise RuntimeError(f"this stack was started without {name}")
    return part


@dataclass
class LocalStack:
    """PostgreSQL (and Kafka, and S3, if asked for) of one state folder, on free ports of 127.0.0.1.

    async with LocalStack(folder, kafka=False, s3=False) as stack:
        database = await stack.create_database("orders")

    Starting ends what a killed process left in the same folder; stopping leaves no process. Data stays in the folder.
    Raises Expected when another process runs the same folder.
    """

    state_dir: Path
    kafka: bool = True
    s3: bool = True
    postgres: bool = True
    bucket: str = "pac-packages"
    cache: Path = field(default_factory=cache_folder)
    say: Say = field(default=lambda _: None)
    pace: Pace = field(default_factory=Pace)
    before: Callable[[], None] = field(default=lambda: None)  # after leftovers were ended, before anything starts
    then: Mapping[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)  # as soon as a part is ready
    on_change: Callable[[], None] = field(default=lambda: None)

    def __post_init__(self) -> None:
        self.state = StateFolder.at(self.state_dir)
        self.supervisor = Supervisor(self.state.records, pace=self.pace, on_change=self.on_change)
        self._lock = Lock(self.state.path / "lock")
        self._postgres: Postgres | None = None
        self._kafka: Kafka | None = None
        self._s3: S3 | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        if not self._lock.acquire():
            raise Expected("this stack runs already", f"another process supervises {self.state.path}", "pac down")
        try:
            for record in await end_leftovers(self.state.records):
                self.say(f"ended {record.name} (pid {record.pid}), left by a former run")
            self.before()
            # Each process starts as soon as it is prepared, without waiting for the slowest preparation.
            parts = self._parts()
            await first_failure(*(self._start_part(name, make_spec) for name, make_spec in parts.items()))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends all processes in order, within ten seconds."""
        await self.supervisor.stop_all()
        self._lock.release()

    # ---- what it offers ----------------------------------------------------------------------------------------

    @property
    def server(self) -> Postgres:
        return _asked_for(self._postgres, "PostgreSQL")

    @property
    def postgres_url(self) -> str:
        """The superuser's, database `postgres`."""
        return self.server.url

    @property
    def kafka_servers(self) -> str:
        return _asked_for(self._kafka, "Kafka").servers

    @property
    def s3_settings(self) -> S3Settings:
        return _asked_for(self._s3, "S3").settings

    def ensure_bucket(self, name: str) -> None:
        _asked_for(self._s3, "S3").ensure_bucket(name)

    async def create_database(self, name: str, password: str | None = None) -> Database:
        """A database owned by a role of the same name, which has the services' timeouts. Safe to repeat."""
        return await ensure_database(self.server, name, password or secrets.token_urlsafe(24))

    async def drop_database(self, name: str) -> None:
        await drop_database(self.server, name)

    # ---- inside ------------------------------------------------------------------------------------------------

    def _parts(self) -> dict[str, Callable[[], ProcessSpec]]:
        state, cache = self.state, self.cache
        parts: dict[str, Callable[[], ProcessSpec]] = {}
        if self.postgres:
            password = state.secret("POSTGRES_PASSWORD")
            self._postgres = Postgres(state.path / "postgres", state.logs, state.port("postgres"), password, cache)
            parts["postgres"] = self._postgres.spec
        if self.kafka:
            ports = state.port("kafka"), state.port("kafka-controller")
            self._kafka = Kafka(state.path / "kafka", state.logs, *ports, cache, self.say)
            parts["kafka"] = self._kafka.spec
        if self.s3:
            keys = state.secret("S3_ACCESS_KEY"), state.secret("S3_SECRET_KEY")
            self._s3 = S3(state.path / "s3", state.logs, state.port("s3"), *keys, self.bucket, cache, self.say)
            parts["s3"] = self._s3.spec
        return parts

    async def _start_part(self, name: str, make_spec: Callable[[], ProcessSpec]) -> None:
        """Prepared in a thread, so downloads, initdb and formatting run side by side."""
        await self.supervisor.start(await asyncio.to_thread(make_spec))
        if name in self.then:
            await self.then[name]()


async def first_failure(*work: Coroutine[None, None, None]) -> None:
    """All at once; the first failure ends the others, and is raised as it is."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
