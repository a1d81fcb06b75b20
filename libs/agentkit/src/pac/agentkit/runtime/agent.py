"""One running agent: its process, the channel to it, and its end."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import DEVNULL, PIPE

from pac.agentkit.runtime.commands import kill_group
from pac.agentkit.runtime.faults import DeploymentFailed, one_line
from pac.agentkit.runtime.output import LINE_BYTES, Line, Output

END_SECONDS = 1.0
FLUSH_SECONDS = 0.5
SIGNAL_CODES = 128


class InvokeFailed(Exception):  # noqa: N818 - it says what happened, as a name
    """The agent answered with an error, or not at all; the text is one line."""


@dataclass(frozen=True, repr=False)
class Start:
    """All an agent's process is started with. `environment` is the merged one and may hold secrets."""

    python: Path
    bootstrap: Path
    root: Path
    entrypoint: str
    environment: Mapping[str, str]
    user: int | None
    limits: Mapping[str, int]
    answer_bytes: int
    start_timeout_seconds: float


@dataclass
class Agent:
    """Made by `start_agent`. `ended` is set once the process and all it left are gone."""

    output: Output
    process: asyncio.subprocess.Process
    lifeline: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    code: int | None = None
    _waiting: dict[int, asyncio.Future[dict[str, object]]] = field(default_factory=dict)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))
    _first: "asyncio.Future[dict[str, object]] | None" = None
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    async def invoke(self, action: str, context: object, timeout_seconds: float) -> object:
        answer = await self._ask({"action": action, "context": context}, "id", timeout_seconds)
        if "error" in answer:
            raise InvokeFailed(one_line(self.output.redactor.clean(str(answer["error"]))))
        return answer.get("response")

    async def ping(self, timeout_seconds: float) -> bool:
        try:
            await self._ask({}, "ping", timeout_seconds)
        except InvokeFailed:
            return False
        return True

    async def _ask(self, message: dict[str, object], key: str, timeout_seconds: float) -> dict[str, object]:
        number = next(self._numbers)
        future = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            async with asyncio.timeout(timeout_seconds):
                self.writer.write(json.dumps({**message, key: number}).encode() + b"\n")
                await self.writer.drain()
                answer: dict[str, object] = await future
                return answer
        except TimeoutError:
            raise InvokeFailed(f"The agent did not answer within {timeout_seconds:g} s") from None
        except ConnectionError:
            raise InvokeFailed("The agent ended before it answered") from None
        finally:
            del self._waiting[number]

    def watch(self) -> None:
        """Begins to read what the agent prints and says; nothing of it may ever block it."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._first = asyncio.get_running_loop().create_future()
        reading = (
            asyncio.create_task(self._keep("stdout", self.process.stdout)),
            asyncio.create_task(self._keep("stderr", self.process.stderr)),
            asyncio.create_task(self._listen(self._first)),
        )
        self._tasks = [*reading, asyncio.create_task(self._wait(reading))]

    async def ready(self, timeout_seconds: float) -> None:
        """Until the entrypoint is imported; DeploymentFailed with the last line of the traceback otherwise."""
        assert self._first is not None
        try:
            async with asyncio.timeout(timeout_seconds):
                first = await self._first
        except TimeoutError:
            await self.stop(FLUSH_SECONDS)
            raise DeploymentFailed(f"The agent did not start within {timeout_seconds:g} s") from None
        if first.get("ready") is not True:
            await self._ends_within(END_SECONDS)
            await self.stop(FLUSH_SECONDS)
            said = first.get("failed") or self.output.last_error() or f"it ended with code {self.code}"
            raise DeploymentFailed(one_line(f"The agent failed to start: {self.output.redactor.clean(str(said))}"))

    async def stop(self, grace_seconds: float) -> None:
        """Waits for answers on their way, then SIGTERM to all of it, then the guard ends what is left, then SIGKILL.

        Answers and SIGTERM share the grace. Returns when it is gone.
        """
        begun = time.monotonic()
        if self._waiting:
            await asyncio.wait(set(self._waiting.values()), timeout=grace_seconds)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if not self.ended.is_set():
                os.killpg(self.process.pid, signal.SIGTERM)
        left_seconds = grace_seconds - (time.monotonic() - begun)
        if not await self._ends_within(max(left_seconds, FLUSH_SECONDS)):
            self._cut_lifeline()
            if not await self._ends_within(END_SECONDS):
                kill_group(self.process.pid)
                await self.ended.wait()

    def kill(self) -> None:
        """The guard ends all of it at once; `ended` tells when."""
        self._cut_lifeline()

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ended.wait()
        return self.ended.is_set()

    async def _wait(self, reading: tuple[asyncio.Task[None], ...]) -> None:
        self.code = await self.process.wait()
        self._cut_lifeline()
        kill_group(self.process.pid)
        await asyncio.wait(reading, timeout=FLUSH_SECONDS)
        for task in reading:
            task.cancel()
        self.writer.close()
        for future in self._waiting.values():
            if not future.done():
                future.set_result({"error": "The agent ended before it answered"})
        self.ended.set()

    def _cut_lifeline(self) -> None:
        if self.lifeline >= 0:
            os.close(self.lifeline)
            self.lifeline = -1

    async def _listen(self, first: "asyncio.Future[dict[str, object]]") -> None:
        try:
            while data := await self.reader.readline():
                message = json.loads(data)
                if not isinstance(message, dict):
                    continue
                if not first.done():
                    first.set_result(message)
                self._settle(message)
        except (ConnectionError, ValueError):
            pass  # an agent that breaks the channel is as good as one that ended
        finally:
            if not first.done():
                first.set_result({})

    def _settle(self, message: dict[str, object]) -> None:
        number = message.get("id", message.get("pong"))
        future = self._waiting.get(number) if isinstance(number, int) else None
        if future is not None and not future.done():
            future.set_result(message)

    async def _keep(self, stream: str, reader: asyncio.StreamReader) -> None:
        rest = b""
        while data := await reader.read(LINE_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) >= LINE_BYTES:
                lines, rest = [*lines, rest], b""
            await self._add(stream, lines)
        if rest:
            await self._add(stream, [rest])

    async def _add(self, stream: str, lines: list[bytes]) -> None:
        kept: list[Line] = [self.output.add(stream, line) for line in lines]
        if kept:
            await asyncio.to_thread(self.output.keep, kept)

    def told_end(self) -> str:
        """Why it is gone, when nobody asked it to go."""
        code = self.code if self.code is not None else 0
        how = f"signal {code - SIGNAL_CODES}" if code > SIGNAL_CODES else f"code {code}"
        said = self.output.last_error()
        return one_line(f"The agent ended with {how}" + (f": {said}" if said else ""))


async def start_agent(start: Start, output: Output) -> Agent:
    """Starts the process and waits until its entrypoint is imported; DeploymentFailed says why it was not."""
    ours, theirs = socket.socketpair()
    lifeline_read, lifeline = os.pipe()
    try:
        config = {
            "control": theirs.fileno(),
            "lifeline": lifeline_read,
            "root": str(start.root),
            "entrypoint": start.entrypoint,
            "answer_bytes": start.answer_bytes,
            "limits": dict(start.limits),
        }
        try:
            process = await asyncio.create_subprocess_exec(
                str(start.python),
                "-P",
                "-u",
                str(start.bootstrap),
                json.dumps(config),
                env=dict(start.environment),
                cwd=start.root,
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                pass_fds=(theirs.fileno(), lifeline_read),
                start_new_session=True,
                user=start.user,
                group=start.user,
                extra_groups=None if start.user is None else (),
            )
        except BaseException:
            ours.close()
            os.close(lifeline)
            raise
    except (OSError, ValueError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "its environment cannot be used"
        raise DeploymentFailed(f"The agent's process cannot be started: {reason}") from None
    finally:
        theirs.close()
        os.close(lifeline_read)
    try:
        reader, writer = await asyncio.open_connection(sock=ours, limit=start.answer_bytes + LINE_BYTES)
    except BaseException:  # nobody would know of the process any more
        kill_group(process.pid)
        ours.close()
        os.close(lifeline)
        raise
    agent = Agent(output, process, lifeline, reader, writer)
    agent.watch()
    try:
        await agent.ready(start.start_timeout_seconds)
    except asyncio.CancelledError:
        await asyncio.shield(agent.stop(FLUSH_SECONDS))
        raise
    return agent
