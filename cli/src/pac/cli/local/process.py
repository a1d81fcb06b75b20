"""What the supervisor is told about one process, and how a process is recognised again after its supervisor died."""

import contextlib
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

Probe = Callable[[], Awaitable[bool]]
Before = Callable[[], None]


async def always_ready() -> bool:
    return True


def nothing_before() -> None:
    pass


@dataclass(frozen=True)
class ProcessSpec:
    """One process. `after` names the processes that must be ready before it starts, and that outlive it at the end.

    `before` is called at the beginning of each life, when the one before is over. `ready_timeout_seconds`: how long the
    first start may take, and after that how long a life that was ready may not be, while what it needs is.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)  # holds passwords
    cwd: Path
    log_file: Path
    ready: Probe = always_ready
    before: Before = nothing_before
    user: str | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    after: tuple[str, ...] = ()
    ready_timeout_seconds: float = 60.0
    stop_timeout_seconds: float = 5.0


@dataclass(frozen=True)
class ProcessStatus:
    name: str
    pid: int | None
    ready: bool
    restarts: int


def started_at(pid: int) -> str | None:
    """When a process began, as text that no other process of this pid can have; None when it is gone or a zombie.

    Linux counts ticks since boot, which a corrected clock does not move; the boot's id keeps two boots apart.
    """
    try:
        process = psutil.Process(pid)
        # A program of many threads may be a zombie while its last threads still hold its ports.
        if process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1:
            return None
        if sys.platform != "linux":
            return f"{process.create_time():.2f}"
        after_name = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{after_name.split()[19]}"
    except (psutil.Error, OSError):
        return None


def descendants(pid: int) -> list[psutil.Process]:
    """Everything below a process, also what has a process group of its own."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def end_at_once(processes: list[psutil.Process]) -> None:
    """SIGKILL; psutil checks the start time, so a pid that was given out again is never hit."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
