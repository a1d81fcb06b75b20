"""Where benchmarks run: servers of their own in a temporary folder, on free ports, gone at the end however it ends."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from pac.cli.bench.runtime import runtime_that_answers_at_once
from pac.cli.local.environment import matches
from pac.cli.local.pac import LocalPac
from pac.cli.local.ports import free_port
from pac.cli.local.postgres import Database
from pac.cli.local.runtime_home import wipe_runtime_home
from pac.cli.local.stack import LocalStack, Say
from pac.eventlog.migrate import upgrade

# Of our own environment the servers get nothing that would lead them, or their figures, elsewhere.
INHERITED = ("PATH", "HOME", "LANG", "LC_*", "TZ", "TMPDIR", "PYTHON*", "PAC_CACHE_DIR", "XDG_CACHE_HOME", "*_proxy")
CREDITS = 1_000_000


class Needs(Enum):
    """What a benchmark needs to run; what it does not need would only disturb it."""

    NOTHING = "nothing"
    POSTGRES = "postgres"
    KAFKA = "postgres and kafka"
    PAC = "all of pac"


@dataclass
class Ground:
    """Running servers. `pac` is there for benchmarks that need it."""

    stack: LocalStack
    pac: LocalPac | None = None
    _databases: dict[str, Database] = field(default_factory=dict)

    async def database(self, name: str) -> Database:
        """A database with the schema of deployments; the same one at the second call."""
        if name not in self._databases:
            database = await self.stack.create_database(name)
            upgrade(database.migration_url, "pac.deployments")
            self._databases[name] = database
        return self._databases[name]

    def knows(self, name: str) -> bool:
        return name in self._databases

    @property
    def whole(self) -> LocalPac:
        assert self.pac is not None, "this benchmark did not say that it needs PAC"
        return self.pac


@asynccontextmanager
async def ground(needs: Needs, say: Say, environment: Mapping[str, str] = os.environ) -> AsyncIterator[Ground]:
    """Started, and ended again with all that it wrote."""
    async with AsyncExitStack() as ends:
        folder = Path(tempfile.mkdtemp(prefix="pac-bench-"))
        ends.callback(shutil.rmtree, folder, ignore_errors=True)
        if needs is Needs.PAC:
            inherited = {name: value for name, value in environment.items() if matches(name, INHERITED)}
            url = await ends.enter_async_context(runtime_that_answers_at_once())
            pac = LocalPac(folder, {**inherited, **_settings(url)}, say)
            ends.callback(wipe_runtime_home, pac.stack.state)
            ends.push_async_callback(pac.stop)
            await pac.start()
            yield Ground(pac.stack, pac)
        else:
            database, kafka = needs is not Needs.NOTHING, needs is Needs.KAFKA
            stack = LocalStack(folder, postgres=database, kafka=kafka, s3=False, say=say)
            ends.push_async_callback(stack.stop)
            await stack.start()
            yield Ground(stack)


def _settings(runtime_url: str) -> dict[str, str]:
    return {
        "GATEWAY_PORT": str(free_port()),
        "BILLING_SIGNUP_CREDITS": str(CREDITS),
        "RUNTIME_NOTIFIER_RUNTIME_URL": runtime_url,
        "PAC_LOG_LEVEL": "warning",
    }
