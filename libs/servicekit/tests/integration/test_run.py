"""A process from its start to its end, with everything real."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from aiohttp import ClientError, ClientSession, web

from pac.cli.local.ports import free_port
from pac.contracts.envelope import to_kafka
from pac.contracts.gateway import AgentAppChanged
from pac.contracts.topics import ServiceName
from pac.eventlog import Cause, ForeignXids
from pac.servicekit.health import Check
from pac.servicekit.http import Route
from pac.servicekit.run import Running, StoppedEarly
from pac.servicekit.service import Service
from pac.servicekit.settings import InvalidSettings, ServiceSettings
from pac.testkit.kafka import KafkaServer, Stream
from pac.testkit.postgres import Database, DatabaseOf, EventLogOf
from pac.testkit.service import SIGNER, ServiceClient, running, service_settings

PROGRAM = str(Path(__file__).with_name("consuming_process.py"))
EFFECTS = "CREATE TABLE state.effects (id bigserial, app text, policy text)"


async def until(condition: Callable[[], Awaitable[Any]], *, patience: float = 40.0) -> None:
    async with asyncio.timeout(patience):
        while not await condition():  # noqa: ASYNC110 - another process makes it so
            await asyncio.sleep(0.02)


@dataclass
class Process:
    process: asyncio.subprocess.Process
    port: int
    admin_port: int
    http: ClientSession

    async def answers(self, path: str) -> int:
        try:
            async with self.http.get(f"http://127.0.0.1:{self.admin_port}{path}") as answer:
                return answer.status
        except ClientError:
            return 0

    async def ready(self) -> bool:
        return await self.answers("/readyz") == 200

    async def get(self, path: str) -> Any:
        async with self.http.get(f"http://127.0.0.1:{self.port}{path}") as answer:
            return await answer.json()

    async def end(self) -> tuple[int, float, str]:
        """SIGTERM; its code, the seconds it took, and what it wrote."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        out, _ = await asyncio.wait_for(self.process.communicate(), 15)
        assert self.process.returncode is not None
        return self.process.returncode, time.monotonic() - began, out.decode()


@asynccontextmanager
async def started(database_url: str, kafka_servers: str) -> AsyncIterator[Process]:
    port, admin_port = free_port(), free_port()
    environment = {
        "PATH": os.environ["PATH"],
        "DEPLOYMENTS_DATABASE_URL": database_url,
        "DEPLOYMENTS_PORT": str(port),
        "DEPLOYMENTS_ADMIN_PORT": str(admin_port),
        "KAFKA_SERVERS": kafka_servers,
        "GATEWAY_IDENTITY_PUBLIC_KEY": SIGNER.public_key_base64,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAM,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with ClientSession() as http:
        try:
            yield Process(process, port, admin_port, http)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()


@pytest.fixture
async def effects(database: Database) -> Callable[[], Awaitable[list[tuple[str, str]]]]:
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        await connection.execute(EFFECTS)

    async def read() -> list[tuple[str, str]]:
        async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
            cursor = await connection.execute("SELECT app, policy FROM state.effects ORDER BY id")
            return [(row[0], row[1]) for row in await cursor.fetchall()]

    return read


def changed(app: UUID, number: int) -> AgentAppChanged:
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return AgentAppChanged(account_id=UUID(int=1), at=at, agent_app_id=app, deploy_policy=str(number))


async def test_sigterm_under_load_ends_within_ten_seconds_and_loses_nothing(
    kafka: KafkaServer, database: Database, effects: Callable[[], Awaitable[list[tuple[str, str]]]]
) -> None:
    told = [(app, Stream(ServiceName.GATEWAY, f"app-{app}")) for app in (uuid4() for _ in range(8))]
    async with kafka.producer() as producer:
        for number in range(60):
            for app, stream in told:
                key, value, headers = to_kafka(stream.say(changed(app, number)))
                await producer.send("gateway.events", value, key=key, headers=headers)
        await producer.flush()

    async def begun() -> bool:
        return len(await effects()) > 30

    async with started(database.url, kafka.servers) as first:
        await until(first.ready)
        slow, waiting = asyncio.create_task(first.get("/slow?seconds=1")), asyncio.create_task(first.get("/wait"))
        await until(begun)
        code, seconds, out = await first.end()
        assert (code, await slow, await waiting) == (0, {"done": True}, {"told": True})
        assert seconds < 10
        assert "service_stopped" in out
        assert "Traceback" not in out
    assert len(await effects()) < 60 * 8, "it was to be ended before it was done"

    async def done() -> bool:
        return len(await effects()) >= 60 * 8

    async with started(database.url, kafka.servers) as second:
        await until(done)
        assert (await second.end())[0] == 0
    found = await effects()
    for app, _ in told:
        assert [int(policy) for name, policy in found if name == str(app)] == list(range(60))


async def test_sigterm_before_anything_was_reached_ends_the_process_well() -> None:
    nowhere = free_port()
    async with started(f"postgresql://a:b@127.0.0.1:{nowhere}/c", f"127.0.0.1:{nowhere}") as process:

        async def waits() -> bool:
            return await process.answers("/readyz") == 503

        await until(waits)
        assert await process.answers("/livez") == 200
        code, seconds, out = await process.end()
        assert (code, seconds < 10) == (0, True)
        assert out.count("service_waits") == 1


async def test_a_missing_setting_is_exit_code_2_and_one_line(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        PROGRAM,
        env={"PATH": os.environ["PATH"], "DEPLOYMENTS_PROT": "1"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, told = await process.communicate()
    assert process.returncode == 2
    assert told.decode().splitlines() == [
        "DEPLOYMENTS_DATABASE_URL is not set",
        "DEPLOYMENTS_PROT is not a setting; did you mean DEPLOYMENTS_PORT?",
    ]


class Neighbour:
    def __init__(self) -> None:
        self.away = True

    async def probe(self) -> None:
        if self.away:
            raise ConnectionRefusedError("the password is hunter2")


async def test_ready_from_the_first_time_all_was_reached_until_shutdown(
    kafka: KafkaServer, database: Database, event_log_of: EventLogOf
) -> None:
    neighbour = Neighbour()
    log = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    settings = service_settings(ServiceSettings, database_url=database.url, kafka_servers=kafka.servers)
    service = Service(
        name=ServiceName.DEPLOYMENTS, settings=settings, log=log, checks=[Check("neighbour", neighbour.probe)]
    )
    run = Running(service)
    async with ClientSession() as http:
        client = ServiceClient(run, http)
        ended = asyncio.Event()

        async def serve() -> None:
            async with run.serve():
                await run.stopping.wait()
                ended.set()

        serving = asyncio.create_task(serve())

        async def bound() -> bool:
            return run.admin_port != 0

        await until(bound)
        starting = await client.admin("/readyz")
        assert (starting.status, starting.body) == (503, {"status": "starting", "waiting_for": ["neighbour"]})
        assert run.port == 0, "no public port before everything was reached"
        neighbour.away = False

        async def ready() -> bool:
            return [(await client.admin("/readyz")).body] == [{"status": "ready"}]

        await until(ready)
        neighbour.away = True

        async def degraded() -> bool:
            answer = await client.admin("/readyz")
            return [answer.status, answer.body] == [200, {"status": "degraded", "away": ["neighbour"]}]

        await until(degraded)
        verbose = (await client.admin("/healthz?verbose")).body
        assert verbose["status"] == "degraded"
        assert verbose["checks"]["postgres"] == verbose["checks"]["kafka"] == "ok"
        assert "hunter2" not in str(verbose)
        assert "relay_backlog_seconds 0.0" in (await client.admin("/metrics")).body
        run.stopping.set()
        await asyncio.wait_for(ended.wait(), 5)
        run.health.stopping = True
        await serving


async def test_a_reader_that_dies_is_started_again_and_ended_at_shutdown(
    kafka: KafkaServer, database: Database, event_log_of: EventLogOf
) -> None:
    class Dying:
        name = "dying"
        runs = 0
        cancelled = False

        async def run(self) -> None:
            self.runs += 1
            if self.runs < 3:
                raise ZeroDivisionError
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled = True

    reader = Dying()
    log = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    settings = service_settings(ServiceSettings, database_url=database.url, kafka_servers=kafka.servers)
    async with running(Service(name=ServiceName.DEPLOYMENTS, settings=settings, log=log, readers=[reader])) as client:

        async def again() -> bool:
            return reader.runs == 3

        await until(again)
        readers = (await client.admin("/healthz?verbose")).body["readers"]
        assert readers == dict.fromkeys(("dying", "laws", "relay"), "running")
    assert reader.cancelled


async def test_routes_that_need_an_identity_are_not_served_without_its_key(
    kafka: KafkaServer, database: Database, event_log_of: EventLogOf
) -> None:
    async def handler(request: web.Request) -> web.Response:
        raise AssertionError

    log = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    settings = service_settings(
        ServiceSettings, database_url=database.url, kafka_servers=kafka.servers, identity_public_key=None
    )
    service = Service(name=ServiceName.DEPLOYMENTS, settings=settings, log=log, routes=[Route("GET", "/x", handler)])
    with pytest.raises(InvalidSettings, match="GATEWAY_IDENTITY_PUBLIC_KEY"):
        async with running(service):
            pass


async def test_whatever_a_service_appends_is_relayed(
    kafka: KafkaServer, database: Database, event_log_of: EventLogOf
) -> None:
    log = await event_log_of(ServiceName.GATEWAY, database=database)
    settings = service_settings(ServiceSettings, database_url=database.url, kafka_servers=kafka.servers)
    app = uuid4()
    async with running(Service(name=ServiceName.GATEWAY, settings=settings, log=log)) as client:
        async with log.transaction(f"app-{app}", cause=Cause("user-1", uuid4())) as tx:
            await tx.append(f"app-{app}", [changed(app, 1)], expected_version=0)

        async def sent() -> bool:
            return await log.relay_backlog_seconds() == 0

        await until(sent)
        assert (await client.admin("/healthz?verbose")).body["readers"]["relay"] == "running"
    assert [record.key for record in await kafka.records("gateway.events")].count(str(app).encode()) == 1


async def test_a_log_restored_from_another_cluster_is_not_served(
    kafka: KafkaServer, database_of: DatabaseOf, event_log_of: EventLogOf
) -> None:
    database = await database_of(laws=False)
    log = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    async with await psycopg.AsyncConnection.connect(database.url, autocommit=True) as connection:
        await connection.execute("INSERT INTO log.checkpoints (reader, xid) VALUES ('relay', '999999999')")
    settings = service_settings(ServiceSettings, database_url=database.url, kafka_servers=kafka.servers)
    with pytest.raises(ForeignXids, match="pac log rebase deployments"):
        async with running(Service(name=ServiceName.DEPLOYMENTS, settings=settings, log=log)):
            pytest.fail("its readers would stand still")


async def test_what_hangs_while_starting_does_not_hold_up_the_end(database: Database, event_log_of: EventLogOf) -> None:
    log = await event_log_of(ServiceName.DEPLOYMENTS, database=database)
    run = Running(
        Service(
            name=ServiceName.DEPLOYMENTS, settings=service_settings(ServiceSettings, database_url=database.url), log=log
        )
    )
    begun, given_up = asyncio.Event(), asyncio.Event()

    async def hang() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    starting = asyncio.create_task(run._until_reached(hang))
    await begun.wait()
    run.stopping.set()
    with pytest.raises(StoppedEarly):
        await asyncio.wait_for(starting, 2)
    assert given_up.is_set()


def test_stopped_early_is_no_oserror() -> None:
    assert not issubclass(StoppedEarly, OSError), "a start that was ended is not to be tried again"
