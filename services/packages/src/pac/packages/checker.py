"""Asks worker processes about what strangers sent: it costs one of them its time or memory, never the loop.

The worker reads one JSON request a line and answers with one (`check_worker.py`). A worker that takes too long is
ended and replaced: TimeoutError, "away, try again". One that dies of a package (processor time, memory) has judged it.
"""

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pac.contracts.packages import Problem

ANSWER_MAX_BYTES = 64 * 1024 * 1024
TOO_EXPENSIVE = Problem(code="too_expensive", message="The package takes more time or memory to check than is allowed")
Kind = Literal["inspect", "verify"]
JUDGED_BY = (-signal.SIGXCPU, -signal.SIGABRT)  # its limits of time and of memory; the second where no Python runs


class CheckerDied(OSError):  # noqa: N818 - says what happened
    """Not by its limits: nothing is known of the package, look again."""


@dataclass(frozen=True)
class CheckLimits:
    workers: int = 2
    timeout_seconds: float = 120.0
    processor_seconds: int = 60
    memory_bytes: int = 512 * 1024 * 1024
    checks_per_worker: int = 200
    temp_dir: Path = Path(tempfile.gettempdir())  # of archives inside a package, while they are looked at


@dataclass(frozen=True)
class PackagedFile:
    name: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True)
class Report:
    """What a check found. `files` and `unpacked_bytes` only after `verify`."""

    problems: tuple[Problem, ...]
    warnings: tuple[Problem, ...] = ()
    name: str | None = None
    version: str | None = None
    manifest: dict[str, Any] | None = None
    env_names: tuple[str, ...] = ()
    dependencies: tuple[dict[str, Any], ...] = ()
    files: tuple[PackagedFile, ...] = ()
    unpacked_bytes: int = 0
    entries: int = 0


def _report(answer: dict[str, Any]) -> Report:
    return Report(
        problems=tuple(Problem(**problem) for problem in answer["problems"]),
        warnings=tuple(Problem(**warning) for warning in answer["warnings"]),
        name=answer["name"],
        version=answer["version"],
        manifest=answer["manifest"],
        env_names=tuple(answer["env_names"]),
        dependencies=tuple(answer["dependencies"]),
        files=tuple(PackagedFile(**file) for file in answer["files"]),
        unpacked_bytes=answer["unpacked_bytes"],
        entries=answer["entries"],
    )


@dataclass
class _Worker:
    process: asyncio.subprocess.Process
    checks: int = 0

    def end(self) -> None:
        if self.process.returncode is None:
            self.process.kill()


@dataclass
class Checker:
    """An async context: workers are started when needed and ended with it."""

    limits: CheckLimits
    _idle: list[_Worker] = field(default_factory=list)
    _all: list[_Worker] = field(default_factory=list)
    _slots: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._slots = asyncio.Semaphore(self.limits.workers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in list(self._all):
            await self._discard(worker)

    async def inspect(self, path: Path, requested_version: str | None = None) -> Report:
        """Structure, names, manifest, `.env`, and the version that the form asked for."""
        return await self._check("inspect", path, requested_version)

    async def verify(self, path: Path, requested_version: str | None = None) -> Report:
        """All that, and every byte inflated."""
        return await self._check("verify", path, requested_version)

    async def _check(self, kind: Kind, path: Path, requested_version: str | None) -> Report:
        answer = await self.ask({"kind": kind, "path": str(path), "version": requested_version})
        return Report(problems=(TOO_EXPENSIVE,)) if answer is None else _report(answer)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """A worker's answer; None if what was asked about takes more time or memory than is allowed."""
        line = json.dumps(request).encode() + b"\n"
        async with self._slots, self._worker() as worker:
            worker.checks += 1
            try:
                async with asyncio.timeout(self.limits.timeout_seconds):
                    answer = await self._ask(worker, line)
            except BaseException:  # also when the caller gives up: the worker is in the middle of an answer
                await self._discard(worker)
                raise
            if answer is None:
                await self._discard(worker)
                return None
        if "os_error" in answer:
            raise OSError(answer["os_error"])
        return answer

    async def _ask(self, worker: _Worker, request: bytes) -> dict[str, Any] | None:
        """The worker's answer; None when it died over the package."""
        stdin, stdout = worker.process.stdin, worker.process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(request)
            await stdin.drain()
            line = await stdout.readline()
        except (ConnectionError, BrokenPipeError):
            line = b""
        if not line.endswith(b"\n"):
            if await worker.process.wait() in JUDGED_BY:
                return None
            raise CheckerDied("a worker ended in the middle of a check")
        answer: dict[str, Any] = json.loads(line)
        return None if answer.get("too_expensive") else answer

    @asynccontextmanager
    async def _worker(self) -> AsyncIterator[_Worker]:
        worker = self._idle.pop() if self._idle else await self._started()
        try:
            yield worker
        finally:
            if worker in self._all and worker.process.returncode is None:
                if worker.checks < self.limits.checks_per_worker:
                    self._idle.append(worker)
                else:
                    await self._discard(worker)

    async def _started(self) -> _Worker:
        limits = self.limits
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-m", "pac.packages.check_worker"),
            *(str(limits.processor_seconds), str(limits.memory_bytes)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=ANSWER_MAX_BYTES,
            env={"TMPDIR": str(limits.temp_dir)},  # nothing else of ours where strangers' bytes are read
            start_new_session=True,  # Ctrl-C is for us; a worker ends when its stdin does
        )
        worker = _Worker(process)
        self._all.append(worker)
        return worker

    async def _discard(self, worker: _Worker) -> None:
        if worker in self._all:
            self._all.remove(worker)
        if worker in self._idle:
            self._idle.remove(worker)
        worker.end()
        await worker.process.wait()
