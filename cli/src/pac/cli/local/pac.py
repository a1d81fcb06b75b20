"""All of PAC on this machine: infrastructure, schemas, topics, services, the local runtime, a first account."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pac.cli.local.bootstrap import LocalAccount, ensure_account
from pac.cli.local.environment import RUNTIME, SERVICES, Own, Ports, Wiring, database_of, process_of, variable
from pac.cli.local.errors import Expected
from pac.cli.local.keys import identity_public_key, sealing_public_key
from pac.cli.local.migrations import migrate
from pac.cli.local.ports import holder_of, is_free
from pac.cli.local.probes import HOST
from pac.cli.local.process import ProcessSpec
from pac.cli.local.runtime_home import runtime_home
from pac.cli.local.s3 import REGION, S3Settings
from pac.cli.local.services import INFRASTRUCTURE, service_specs
from pac.cli.local.stack import LocalStack, Say, cache_folder, first_failure
from pac.cli.local.supervisor import Pace
from pac.cli.local.topics import apply_topics, read_topics, security, topics_file

STATUS_FILE = "status.json"
KEY_PAIRS = {"GATEWAY_IDENTITY_KEY": identity_public_key, "RUNTIME_NOTIFIER_SEALING_KEY": sealing_public_key}
DEFAULT_BUCKET = "pac-packages"


@dataclass
class LocalPac:
    """`environment` is the user's: its settings win over what is generated, and infrastructure that it names is used
    instead of our own (KAFKA_SERVERS, S3_ENDPOINT_URL, all five <SERVICE>_DATABASE_URL). `replicas` is how many
    processes run of each service; infrastructure and runtime stay single.

    `start` once, then `stop`.
    """

    state_dir: Path
    environment: Mapping[str, str] = field(repr=False)
    say: Say = field(default=lambda _: None)
    replicas: int = 1
    pace: Pace = field(default_factory=Pace)
    make_services: Callable[[Wiring, Path, Path, Path], list[ProcessSpec]] = service_specs

    def __post_init__(self) -> None:
        self.own = own = Own(self.environment)
        self._database_urls = {
            service: url for service in SERVICES if (url := own.get(variable(service, "DATABASE_URL"))) is not None
        }
        self.stack = LocalStack(
            self.state_dir,
            postgres=len(self._database_urls) < len(SERVICES),
            kafka=not own.sets("KAFKA_SERVERS"),
            s3=not own.sets("S3_ENDPOINT_URL"),
            bucket=own.get("S3_BUCKET") or DEFAULT_BUCKET,
            cache=cache_folder(self.environment),
            say=self.say,
            pace=self.pace,
            before=self._check_settings,
            then={"postgres": self._make_schemas, "kafka": self._make_topics},
            on_change=self.write_status,
        )
        self.supervisor = self.stack.supervisor
        self.account: LocalAccount | None = None
        self._ports: Ports | None = None
        self._wiring: Wiring | None = None

    async def start(self) -> None:
        """Returns when everything is ready. Raises Expected, with all that was started ended again."""
        try:
            self.say("starting PostgreSQL, Kafka and S3")
            await self.stack.start()
            if not self.stack.postgres:
                await self._make_schemas()
            if not self.stack.kafka:
                await self._make_topics()
            self.say("starting the services and the local runtime")
            wiring = self._wired()
            folder = runtime_home(self.stack.state)
            specs = await asyncio.to_thread(self.make_services, wiring, self.stack.state.path, folder, self.stack.cache)
            await first_failure(*(self.supervisor.start(spec) for spec in specs))
            self.account = await ensure_account(self.stack.state, wiring.gateway_url, self._admin_key(wiring))
            self.write_status()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Ends everything in order within ten seconds; leaves no process."""
        await self.stack.stop()

    # ---- steps -------------------------------------------------------------------------------------------------

    def _check_settings(self) -> None:
        """What can be refused is refused before anything starts.

        Ports are chosen only now: those of a former run are free again after its leftovers were ended.
        """
        for name, public_key in KEY_PAIRS.items():
            if (private := self.own.get(name)) is not None:
                public_key(name, private)
        self._ports = Ports.choose(self.own, self.stack.state.port, self.replicas)
        for name, port in self._ports.chosen(self.own).items():
            if not is_free(port):
                raise Expected(
                    f"port {port} is taken",
                    f"{name} needs it, and it is held by {holder_of(port) or 'a process of another user'}",
                    f"end that process, or choose another port: {name}={port + 1} pac up",
                )

    async def _make_schemas(self) -> None:
        urls = dict(self._database_urls)
        migration_urls = dict(urls)
        for service in SERVICES:
            if service not in urls:
                password = self.stack.state.secret(variable(service, "DATABASE_PASSWORD"))
                database = await self.stack.create_database(database_of(service), password)
                urls[service], migration_urls[service] = database.url, database.migration_url
        self._database_urls = urls
        await asyncio.to_thread(migrate, migration_urls)

    async def _make_topics(self) -> None:
        topics = read_topics(topics_file())
        own = {**self.environment, "KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"} if self.stack.kafka else self.environment
        outcome = await apply_topics(self._kafka_servers(), topics, options=security(own))
        for line in outcome.different:
            self.say(f"topic {line}; left as it is")

    # ---- what was started --------------------------------------------------------------------------------------

    def _kafka_servers(self) -> str:
        return self.stack.kafka_servers if self.stack.kafka else self.own.get("KAFKA_SERVERS") or ""

    def _s3(self) -> S3Settings:
        if self.stack.s3:
            return self.stack.s3_settings
        own = self.own.get
        return S3Settings(
            own("S3_ENDPOINT_URL") or "",
            own("S3_BUCKET") or DEFAULT_BUCKET,
            own("AWS_ACCESS_KEY_ID") or "",
            own("AWS_SECRET_ACCESS_KEY") or "",
            own("AWS_REGION") or REGION,
        )

    def _wired(self) -> Wiring:
        assert self._ports is not None
        self._wiring = Wiring(
            own=self.own,
            ports=self._ports,
            database_urls=self._database_urls,
            kafka_servers=self._kafka_servers(),
            s3=self._s3(),
            runtime_folder=runtime_home(self.stack.state),
            secret=self.stack.state.secret,
        )
        return self._wiring

    @property
    def _process_names(self) -> list[str]:
        numbers = range(1, self.replicas + 1)
        return [*INFRASTRUCTURE, *(process_of(service, number) for service in SERVICES for number in numbers), RUNTIME]

    def _admin_key(self, wiring: Wiring) -> str:
        return wiring.value("GATEWAY_ADMIN_KEY")

    def write_status(self) -> None:
        """`pac status` reads this file; it is rewritten whenever a process comes, goes or turns ready."""
        self.stack.state.write(STATUS_FILE, self.status())

    def status(self) -> dict[str, Any]:
        """The fields of the interface, and the runtime's secret; those of what is not started yet are missing."""
        shown: dict[str, Any] = {}
        if (wiring := self._wiring) is not None:
            s3 = wiring.s3
            shown = {
                "gateway_url": wiring.gateway_url,
                "admin_urls": {process: f"http://{HOST}:{port}" for process, port in wiring.ports.admin.items()},
                "admin_key": self._admin_key(wiring),
                "postgres_url": self.stack.postgres_url if self.stack.postgres else None,
                "kafka_servers": wiring.kafka_servers,
                "s3": {name: getattr(s3, name) for name in ("endpoint", "bucket", "access_key", "secret_key")},
                "runtime_url": wiring.runtime_url,
                "runtime_secret": wiring.runtime_secret,
            }
        if self.account is not None:
            shown |= asdict(self.account)
        shown["state_dir"] = str(self.stack.state.path)
        processes = sorted(self.supervisor.status(), key=lambda one: self._process_names.index(one.name))
        shown["processes"] = [asdict(one) for one in processes]
        return shown
