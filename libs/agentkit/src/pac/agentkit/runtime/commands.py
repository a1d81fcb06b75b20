"""Runs a helper program (uv, python) to its end: own process group, own user, bounded in time and output."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT

OUTPUT_BYTES = 64 * 1024
TIMED_OUT = -1


@dataclass(frozen=True)
class Finished:
    code: int
    output: str


@dataclass(frozen=True)
class Command:
    """`user`: the uid (and gid) to run as, None for our own."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    folder: Path
    user: int | None
    timeout_seconds: float

    async def run(self) -> Finished:
        """TIMED_OUT as code when it had to be ended. OSError when it cannot be started."""
        process = await asyncio.create_subprocess_exec(
            *self.arguments,
            env=dict(self.environment),
            cwd=self.folder,
            stdin=DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            start_new_session=True,
            umask=0o022,
            user=self.user,
            group=self.user,
            extra_groups=None if self.user is None else (),
        )
        assert process.stdout is not None
        kept = b""
        timed_out = False
        try:
            async with asyncio.timeout(self.timeout_seconds):
                while data := await process.stdout.read(OUTPUT_BYTES):
                    kept = (kept + data)[-OUTPUT_BYTES:]
                await process.wait()
        except TimeoutError:
            timed_out = True
        finally:
            kill_group(process.pid)
            code = await process.wait()
        return Finished(TIMED_OUT if timed_out else code, kept.decode("utf-8", "replace"))


def kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
