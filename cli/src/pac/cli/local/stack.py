"""Local infrastructure in one object: what tests and `pac up` start, and what they ask it for."""

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

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
    """Where downloads are kept, shared by all checkouts of a user."""
    if chosen := environment.get("PAC_CACHE_DIR"):
        return Path(chosen).expanduser().absolute()
    base = environment.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pac"


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

    def __post_init__(self) -> None:
        self.state = StateFolder.at(self.state_dir)
        self.supervisor = Supervisor(self.state.records, pace=self.pace)
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
            # Each process starts as soon as it is prepared, without waiting for the slowest preparation.
            await asyncio.gather(*(self._start_when(prepared) for prepared in self._infrastructure()))
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

    def _infrastructure(self) -> list["asyncio.Future[ProcessSpec]"]:
        """Each part's process, prepared in threads: downloads, initdb and formatting run side by side."""
        state, cache = self.state, self.cache
        preparing: list[asyncio.Future[ProcessSpec]] = []
        if self.postgres:
            self._postgres = Postgres(
                state.path / "postgres", state.logs, state.port("postgres"), state.secret("POSTGRES_PASSWORD"), cache
            )
            preparing.append(asyncio.ensure_future(asyncio.to_thread(self._postgres.spec)))
        if self.kafka:
            ports = state.port("kafka"), state.port("kafka-controller")
            self._kafka = Kafka(state.path / "kafka", state.logs, *ports, cache, self.say)
            preparing.append(asyncio.ensure_future(asyncio.to_thread(self._kafka.spec)))
        if self.s3:
            keys = state.secret("AWS_ACCESS_KEY_ID"), state.secret("AWS_SECRET_ACCESS_KEY")
            self._s3 = S3(state.path / "s3", state.logs, state.port("s3"), *keys, self.bucket, cache, self.say)
            preparing.append(asyncio.ensure_future(asyncio.to_thread(self._s3.spec)))
        return preparing

    async def _start_when(self, prepared: "asyncio.Future[ProcessSpec]") -> None:
        await self.supervisor.start(await prepared)
