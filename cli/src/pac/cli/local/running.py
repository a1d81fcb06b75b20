"""Who supervises a state folder right now, and how it is asked to end."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

from pac.cli.local.errors import Expected
from pac.cli.local.process import descendants, end_at_once, started_at
from pac.cli.local.records import Record, end_leftovers, until
from pac.cli.local.state import MARKER, Lock, StateFolder

FILE = "supervisor.json"
STOP_SECONDS = 12.0


@dataclass(frozen=True)
class Running:
    """A state folder seen from another process. Reading it changes nothing."""

    state: StateFolder

    @classmethod
    def at(cls, path: Path) -> "Running | None":
        """None when nothing was ever started there."""
        return cls(StateFolder(path.absolute())) if (path / MARKER).exists() else None

    def announce(self) -> None:
        self.state.write(FILE, {"pid": os.getpid(), "started": started_at(os.getpid())})

    def is_running(self) -> bool:
        return Lock(self.state.path / "lock").is_held()

    def supervisor(self) -> int | None:
        """Its pid; None when it is gone."""
        known = self.state.read(FILE)
        pid = known.get("pid")
        return pid if isinstance(pid, int) and started_at(pid) == known["started"] else None

    async def stop(self) -> list[Record]:
        """Ends the supervisor, which ends its processes; if it is gone or stuck, ends them ourselves.

        Returns what was left to us.
        """
        if self.is_running():
            pid = self.supervisor()
            if pid is None:
                raise Expected(
                    f"{self.state.path} is in use", "a program other than `pac up` runs this stack", "end that program"
                )
            below = descendants(pid)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
                os.kill(pid, signal.SIGCONT)
            if not await until(lambda: not self.is_running(), STOP_SECONDS):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                left = await self._end_leftovers()
                await asyncio.to_thread(end_at_once, below)
                return left
        return await self._end_leftovers()

    async def _end_leftovers(self) -> list[Record]:
        await until(lambda: not self.is_running(), 1.0)
        return await end_leftovers(self.state.records)
