"""The one supervisor: starts processes in order, restarts what dies, and leaves nothing behind."""

import asyncio
import contextlib
import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pac.cli.local import logs
from pac.cli.local.errors import Expected
from pac.cli.local.process import ProcessSpec, ProcessStatus, descendants, end_at_once, started_at
from pac.cli.local.records import Record, Records, until

STOP_ALL_SECONDS = 8.5  # of ten: the rest is for what a busy machine adds


@dataclass(frozen=True)
class Pace:
    """How often to look, and how long to wait before a process that died is started again (seconds)."""

    until_ready: float = 0.05
    while_ready: float = 2.0
    first_backoff: float = 0.2
    longest_backoff: float = 10.0
    settled_after: float = 30.0


class StartFailed(Expected):
    """A process ended, or was not ready in time, at its first start."""

    def __init__(self, spec: ProcessSpec, why: str, log_start: int = 0) -> None:
        lines = "".join(f"\n    | {line}" for line in logs.last_lines(spec.log_file, since=log_start))
        said = f"; its log ends with:{lines}" if lines else "; it said nothing"
        super().__init__(f"{spec.name} did not start", f"{why}{said}", f"less {spec.log_file}")
        self.name = spec.name


@dataclass
class Supervised:
    """One process through all its lives."""

    spec: ProcessSpec
    process: subprocess.Popen[bytes] | None = None
    exited: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gone: asyncio.Event = field(default_factory=asyncio.Event)  # stopped on purpose, for good
    wanted: bool = True
    restarts: int = 0
    next_life: Mapping[str, str] = field(default_factory=dict, repr=False)  # environment of one life only
    has_started: bool = False  # was ready once: from then on it is restarted, however it ends
    keeper: asyncio.Task[None] | None = None


class Supervisor:
    """Holds the processes of one state folder.

    Each is the leader of its own session, so a terminal's Ctrl-C reaches only us, and is on file as soon as it exists.
    """

    def __init__(
        self, records: Records, *, pace: Pace | None = None, on_change: Callable[[], None] | None = None
    ) -> None:
        self._records = records
        self._pace = pace or Pace()
        self._on_change = on_change or (lambda: None)
        self._known: dict[str, Supervised] = {}

    async def start(self, *specs: ProcessSpec) -> None:
        """Starts each as soon as those it comes `after` are ready; returns when all are. Raises StartFailed."""
        for spec in specs:
            if (known := self._known.get(spec.name)) is not None and not known.gone.is_set():
                raise ValueError(f"{spec.name} is supervised already")
            self._known[spec.name] = Supervised(spec)
        tasks = [asyncio.create_task(self._start_in_order(self._known[spec.name])) for spec in specs]
        try:
            await asyncio.gather(*tasks)
        finally:  # the first failure ends the wait of the others; what they started is ended by stop_all
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def stop(self, name: str, *, timeout_seconds: float | None = None) -> None:
        """Ends one process for good: its stop signal, then SIGKILL for it and everything below it."""
        await self._end(self._known[name], timeout_seconds)

    async def stop_all(self, *, timeout_seconds: float = STOP_ALL_SECONDS) -> None:
        """Ends all, each after those that depend on it. After `timeout_seconds` all that is left is killed."""
        try:
            async with asyncio.timeout(timeout_seconds), asyncio.TaskGroup() as group:
                for supervised in self._known.values():
                    group.create_task(self._end_in_order(supervised))
        except TimeoutError:
            await self.kill_all()

    async def kill_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for supervised in self._known.values():
                group.create_task(self._end(supervised, 0.0))

    def kill(
        self,
        name: str,
        number: signal.Signals = signal.SIGKILL,
        *,
        next_life: Mapping[str, str] | None = None,
    ) -> None:
        """Sends a signal to one process and leaves the rest to the supervision, as a crash would.

        `next_life` is added to the environment of the life that follows, and of no other.
        """
        process = self._running(name)
        self._known[name].next_life = next_life or {}
        process.send_signal(number)

    def pause(self, name: str) -> None:
        os.killpg(self._running(name).pid, signal.SIGSTOP)

    def resume(self, name: str) -> None:
        os.killpg(self._running(name).pid, signal.SIGCONT)

    async def restart(self, name: str) -> None:
        """Stops and starts one process; returns when it is ready again."""
        spec = self._known[name].spec
        await self.stop(name)
        restarts = self._known[name].restarts + 1
        self._known[name] = Supervised(spec, restarts=restarts)
        await self._start_in_order(self._known[name])

    async def wait_ready(self, *names: str, timeout_seconds: float = 60.0) -> None:
        """Waits until the named processes (all, if none is named) are ready. Raises TimeoutError."""
        async with asyncio.timeout(timeout_seconds):
            for name in names or tuple(self._known):
                await self._known[name].ready.wait()

    def status(self) -> list[ProcessStatus]:
        return [
            ProcessStatus(name, one.process.pid if one.process else None, one.ready.is_set(), one.restarts)
            for name, one in self._known.items()
            if not one.gone.is_set()
        ]

    def _running(self, name: str) -> subprocess.Popen[bytes]:
        process = self._known[name].process
        if process is None:
            raise ProcessLookupError(f"{name} is not running")
        return process

    # ---- a life ------------------------------------------------------------------------------------------------

    async def _start_in_order(self, one: Supervised) -> None:
        for name in one.spec.after:
            if name in self._known:
                await self._known[name].ready.wait()
        if not one.wanted:
            return
        log_start = logs.size_of(one.spec.log_file)
        try:
            process = self._spawn(one)
        except OSError as error:
            one.wanted = False
            one.gone.set()
            raise StartFailed(one.spec, f"it cannot be executed ({error.strerror}: {error.filename})") from None
        one.keeper = asyncio.create_task(self._keep(one), name=f"keep {one.spec.name}")
        exited = asyncio.create_task(one.exited.wait())
        ready = asyncio.create_task(one.ready.wait())
        timeout = one.spec.ready_timeout_seconds
        try:
            done, _ = await asyncio.wait({exited, ready}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            exited.cancel()
            ready.cancel()
        if one.ready.is_set() or not one.wanted:
            return
        one.wanted = False
        await self._end(one, None)
        code = process.returncode
        why = f"it ended at once with exit code {code}" if exited in done else f"it was not ready after {timeout:g} s"
        raise StartFailed(one.spec, why, log_start)

    def _spawn(self, one: Supervised) -> subprocess.Popen[bytes]:
        spec = one.spec
        environment, one.next_life = {**spec.env, **one.next_life}, {}
        spec.before()
        log = logs.open_log(spec.log_file)
        try:
            process = subprocess.Popen(  # noqa: S603 (argv is ours)
                spec.argv,
                env=environment,
                cwd=spec.cwd,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=spec.user,
                group=None if spec.user is None else pwd.getpwnam(spec.user).pw_gid,
                extra_groups=None if spec.user is None else (),
            )
        finally:
            os.close(log)
        one.process = process
        # Before anything else may happen: from here on a kill -9 of us leaves a process that is on file.
        self._records.add(Record(spec.name, process.pid, started_at(process.pid) or "", int(spec.stop_signal)))
        one.exited = exited = asyncio.Event()
        loop = asyncio.get_running_loop()

        def wait() -> None:
            process.wait()
            with contextlib.suppress(RuntimeError):  # the loop has ended before the process
                loop.call_soon_threadsafe(exited.set)

        threading.Thread(target=wait, name=f"wait {spec.name}", daemon=True).start()
        self._on_change()
        return process

    async def _keep(self, one: Supervised) -> None:
        """Watches one process through all its lives; ends when it is not wanted any more, or failed its first start."""
        backoff = self._pace.first_backoff
        while True:
            born = time.monotonic()
            watch = asyncio.create_task(self._watch(one))
            await one.exited.wait()
            watch.cancel()
            self._bury(one)
            if not one.wanted or not one.has_started:
                return
            if time.monotonic() - born > self._pace.settled_after:
                backoff = self._pace.first_backoff
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, self._pace.longest_backoff)
            self._spawn_again(one)

    def _spawn_again(self, one: Supervised) -> None:
        if one.wanted:
            one.restarts += 1
            with contextlib.suppress(OSError):  # out of memory or files: the next turn tries again
                self._spawn(one)

    def _bury(self, one: Supervised) -> None:
        process = one.process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what it left in its group
        self._records.remove(process.pid)
        one.process = None
        one.ready.clear()
        self._on_change()

    async def _watch(self, one: Supervised) -> None:
        """Keeps `ready` true to the probe and the log file small; ends a life that hangs: `_keep` begins another."""
        was_ready, well_at = False, time.monotonic()
        while True:
            answer = await one.spec.ready()
            if answer != one.ready.is_set():
                one.ready.set() if answer else one.ready.clear()
                one.has_started = one.has_started or answer
                self._on_change()
            logs.rotate(one.spec.log_file)
            was_ready = was_ready or answer
            if answer or not was_ready or not self._has_what_it_needs(one):
                well_at = time.monotonic()
            elif time.monotonic() - well_at > one.spec.ready_timeout_seconds:
                await self._end_life(one)
            await asyncio.sleep(self._pace.while_ready if answer else self._pace.until_ready)

    def _has_what_it_needs(self, one: Supervised) -> bool:
        return all(self._known[name].ready.is_set() for name in one.spec.after if name in self._known)

    async def _end_life(self, one: Supervised) -> None:
        process = one.process
        if process is not None:
            await self._ask_to_end(one, process, one.spec.stop_timeout_seconds)
            _signal(process, signal.SIGKILL)

    async def _ask_to_end(self, one: Supervised, process: subprocess.Popen[bytes], limit_seconds: float) -> None:
        _signal(process, one.spec.stop_signal)
        _signal(process, signal.SIGCONT)  # a paused process would not hear it
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_seconds):
                await one.exited.wait()

    # ---- the end -----------------------------------------------------------------------------------------------

    async def _end_in_order(self, one: Supervised) -> None:
        one.wanted = False
        for other in self._known.values():
            if one.spec.name in other.spec.after:
                await other.gone.wait()
        await self._end(one, None)

    async def _end(self, one: Supervised, timeout_seconds: float | None) -> None:
        one.wanted = False
        process = one.process
        if process is not None and not one.exited.is_set():
            below = descendants(process.pid)
            if timeout_seconds != 0.0:
                limit = one.spec.stop_timeout_seconds if timeout_seconds is None else timeout_seconds
                await self._ask_to_end(one, process, limit)
            if not one.exited.is_set():
                below += [child for child in descendants(process.pid) if child not in below]
                _signal(process, signal.SIGKILL)
                await one.exited.wait()
            end_at_once(below)
            await until(lambda: not any(child.is_running() for child in below), 1.0)
        if one.keeper is not None:
            one.keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await one.keeper
        self._bury(one)
        one.gone.set()
        self._on_change()


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
