"""Which databases the operators' commands look into, and what each service says can be computed from its log."""

import importlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pac.cli.local.environment import Own, database_of, variable
from pac.cli.local.errors import Expected

if TYPE_CHECKING:
    from pac.eventlog import EventLog
    from pac.eventlog.derived import Derived

CONNECTIONS = 5
CONNECT_SECONDS = 5


class Service(StrEnum):
    GATEWAY = "gateway"
    PACKAGES = "packages"
    DEPLOYMENTS = "deployments"
    BILLING = "billing"
    RUNTIME_NOTIFIER = "runtime-notifier"


OneService = Annotated[Service, typer.Option("--service", help="Whose log.")]
AnyService = Annotated[Service | None, typer.Option("--service", help="Of this service only (all).")]


@dataclass(frozen=True)
class ServiceDatabase:
    """A service's database, as an operator or as the service itself may open it."""

    service: Service
    url: str = field(repr=False)

    def derived(self) -> "Derived":
        module = importlib.import_module(f"pac.{database_of(self.service)}.derived")
        derived: Derived = module.DERIVED
        return derived

    @asynccontextmanager
    async def opened(self) -> "AsyncIterator[EventLog]":
        """Raises Expected when it cannot be reached, now or later, or is not migrated."""
        from pac.contracts.topics import ServiceName  # noqa: PLC0415 (slow to import)
        from pac.eventlog import EventLog, LogUnavailable, create_engine  # noqa: PLC0415
        from pac.servicekit.memory import collect_seldom  # noqa: PLC0415

        collect_seldom()  # as services do: whole logs are read here
        await self.look()
        log = EventLog(create_engine(self.url, pool_size=CONNECTIONS), ServiceName(self.service.value))
        try:
            yield log
        except LogUnavailable as away:
            raise self.unreachable(str(away)) from away
        finally:
            await log.close()

    async def look(self) -> None:
        import psycopg  # noqa: PLC0415

        try:
            async with await psycopg.AsyncConnection.connect(
                self.url, autocommit=True, connect_timeout=5
            ) as connection:
                found = await (await connection.execute("SELECT to_regclass('log.events')")).fetchone()
        except psycopg.Error as fault:
            raise self.unreachable(str(fault)) from fault
        if found is None or found[0] is None:
            raise Expected(f"the database of {self.service} holds no log", "it was never migrated", "pac migrate")

    def unreachable(self, reason: str) -> Expected:
        from pac.cli.local.migrations import without_password  # noqa: PLC0415

        what = f"the database of {self.service} cannot be used"
        return Expected(what, without_password(reason, self.url), f"pac doctor, or mend {self.variable}")

    @property
    def variable(self) -> str:
        return variable(self.service, "DATABASE_URL")


def databases(
    state_dir: Path | None, *chosen: Service | None, environment: Mapping[str, str] = os.environ
) -> list[ServiceDatabase]:
    """Of the services chosen, else of all: as <SERVICE>_DATABASE_URL says; if it says nothing, the local stack's."""
    _say_warnings_on_stderr()
    own = Own(environment)
    named = {service: url for service in Service if (url := own.get(variable(service, "DATABASE_URL")))}
    wanted = [one for one in chosen if one is not None]
    if not named:
        urls = local_urls(state_dir)
        named = {service: urls[service.value] for service in Service}
    missing = [service for service in wanted if service not in named]
    if missing:
        names = ", ".join(variable(service, "DATABASE_URL") for service in missing)
        raise Expected(f"{names} is not set", "other services' databases are named in the environment", f"set {names}")
    return [ServiceDatabase(service, url) for service, url in named.items() if not wanted or service in wanted]


def local_urls(state_dir: Path | None) -> dict[str, str]:
    """Of the stack of `pac up`: the operator, acting as each service's role."""
    from pac.cli.context import state_dir_of, status_of  # noqa: PLC0415
    from pac.cli.local.environment import SERVICES  # noqa: PLC0415
    from pac.cli.local.postgres import migration_url  # noqa: PLC0415

    superuser = status_of(state_dir_of(state_dir)).get("postgres_url")
    if not superuser:
        raise Expected(
            "no database is known", "PAC is starting, or uses databases of yours", "set <SERVICE>_DATABASE_URL"
        )
    return {service: migration_url(superuser, database_of(service)) for service in SERVICES}


def _say_warnings_on_stderr() -> None:
    """Stdout is for what was asked for."""
    from pac.servicekit.logging import configure_logging  # noqa: PLC0415 (slow to import)

    configure_logging("pac", "console", "warning", sys.stderr)
