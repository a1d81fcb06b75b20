"""A PAC as `pac up --detach` starts it, of which everything can be killed at once, the supervisor first."""

import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from aiohttp import ClientSession, ClientTimeout

from pac.testkit.chaos.bench import ANSWER_SECONDS, Ground, quick
from pac.testkit.pac_up import Pac, command, status_of


@dataclass
class Detached(Ground):
    state_dir: Path = field(kw_only=True)
    environment: Mapping[str, str] = field(kw_only=True)

    async def up(self) -> float:
        """How long it took."""
        began = time.monotonic()
        self.pac = await started(self.state_dir, self.environment, self.pac.http)
        self.note("`pac up` is ready")
        return time.monotonic() - began

    async def kill_everything(self) -> int:
        """Supervisor, servers, services, runtime and agents. Returns how many processes."""
        supervisor = psutil.Process(json.loads((self.state_dir / "supervisor.json").read_text())["pid"])
        doomed = [supervisor, *supervisor.children(recursive=True)]
        for process in doomed:
            process.kill()
        psutil.wait_procs(doomed, timeout=10)
        self.killed += ["gateway", "everything"]
        self.note(f"SIGKILL to all {len(doomed)} processes")
        return len(doomed)


async def started(state_dir: Path, environment: Mapping[str, str], http: ClientSession) -> Pac:
    up = await command("up", "--detach", "--state-dir", str(state_dir), environment=environment, patience=420)
    assert up.code == 0, f"pac up failed\n{up.out}\n{up.err}"
    return Pac(await status_of(state_dir), http)


@asynccontextmanager
async def detached(folder: Path) -> AsyncIterator[Detached]:
    """`pac up --detach` … `pac down`, with its state below `folder`."""
    state_dir, environment = folder / "state", quick(folder)
    async with ClientSession(timeout=ClientTimeout(total=ANSWER_SECONDS)) as http:
        try:
            pac = await started(state_dir, environment, http)
            yield Detached(pac, state_dir=state_dir, environment=environment)
        finally:
            stopped = await command("down", "--wipe", "--state-dir", str(state_dir))
    assert stopped.code == 0, f"pac down failed\n{stopped.out}\n{stopped.err}"
