"""Runs inside the agent's process: a guard that leaves nothing behind, and the agent it serves. Standard library only.

Started as `python bootstrap.py CONFIG`, with CONFIG a JSON object: control (a socket to the runtime, JSON lines),
lifeline (a pipe that closes when the runtime dies), root, entrypoint, answer_bytes and limits (rlimit name: value).
This file is copied beside the agents and imports nothing of PAC.
"""

import asyncio
import concurrent.futures
import contextlib
import ctypes
import importlib
import inspect
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 36, 38
HANDLER_THREADS = 8
IGNORED_BY_GUARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    config = json.loads(sys.argv[1])
    restrict(config["limits"])
    ended, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.signal(signal.SIGCHLD, do_nothing)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    for number in IGNORED_BY_GUARD:
        signal.signal(number, signal.SIG_IGN)
    agent = os.fork()
    if agent == 0:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, *IGNORED_BY_GUARD):
            signal.signal(number, signal.SIG_DFL)
        for descriptor in (ended, woken, config["lifeline"]):
            os.close(descriptor)
        run_agent(config)
    os.close(config["control"])
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os._exit(guard(agent, config["lifeline"], ended))


def do_nothing(_number: int, _frame: FrameType | None) -> None:
    """A handler must exist for the wakeup descriptor to be written."""


def restrict(limits: dict[str, int]) -> None:
    """Before any code of the agent runs: it inherits all of this and cannot take it back."""
    for name, value in limits.items():
        number = getattr(resource, name, None)
        if number is not None:
            hard = resource.getrlimit(number)[1]
            wanted = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.setrlimit(number, (wanted, wanted))
    os.umask(0o077)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "no_new_privs cannot be set")
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def guard(agent: int, lifeline: int, ended: int) -> int:
    """Waits for the agent's end or the runtime's; then ends every process the agent has left."""
    code = None
    while code is None:
        readable, _, _ = select.select([lifeline, ended], [], [])
        if lifeline in readable:
            code = 128 + signal.SIGKILL
        if ended in readable:
            os.read(ended, 4096)
            code = reap(agent, code)
    end_children()
    return code


def reap(agent: int, code: int | None) -> int | None:
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            if found[0] == agent:
                status = os.waitstatus_to_exitcode(found[1])
                code = status if status >= 0 else 128 - status
    return code


def end_children() -> None:
    """As subreaper, the guard inherits whatever its children leave: kill until none is left."""
    with contextlib.suppress(ChildProcessError):
        while True:
            try:
                children = Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()
            except OSError:
                os.killpg(0, signal.SIGKILL)
                return
            for child in children:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(int(child), signal.SIGKILL)
            os.waitpid(-1, 0)


def run_agent(config: dict[str, Any]) -> None:
    """Never returns: what the agent's process does."""
    control = socket.socket(fileno=config["control"])
    control.set_inheritable(False)
    sys.path.insert(0, config["root"])
    sys.argv = [config["entrypoint"]]
    try:
        handler = load(config["entrypoint"])
    except BaseException as error:  # noqa: BLE001 - SystemExit at import is a failed start too
        show(error, config["root"])
        sys.stderr.flush()
        control.sendall(line({"failed": told(error, config["root"])}))
        os._exit(1)
    control.sendall(line({"ready": True}))
    asyncio.run(serve(control, handler, config))
    os._exit(0)


def load(entrypoint: str) -> Callable[..., Any]:
    module_name, _, path = entrypoint.partition(":")
    found: Any = importlib.import_module(module_name)
    for name in path.split("."):
        found = getattr(found, name)
    if not callable(found):
        raise TypeError(f"the entrypoint {entrypoint} cannot be called")
    handler: Callable[..., Any] = found
    return handler


def show(error: BaseException, root: str) -> None:
    """The traceback from the agent's first line on: what is before is ours. Without a line of the agent, no frames."""
    frame = error.__traceback__
    while frame is not None and not frame.tb_frame.f_code.co_filename.startswith(root + os.sep):
        frame = frame.tb_next
    traceback.print_exception(type(error), error, frame)


def told(error: BaseException, root: str) -> str:
    """The last line of the traceback, and where in the package it came from."""
    last = traceback.format_exception_only(error)[-1].strip()
    if isinstance(error, SyntaxError) and str(error.filename).startswith(root + os.sep):
        return f"{last} ({os.path.relpath(str(error.filename), root)}, line {error.lineno})"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(root + os.sep):
            return f"{last} ({os.path.relpath(frame.filename, root)}, line {frame.lineno})"
    return last


def line(message: dict[str, object]) -> bytes:
    return json.dumps(message, allow_nan=False).encode() + b"\n"


async def serve(control: socket.socket, handler: Callable[..., Any], config: dict[str, Any]) -> None:
    answer_bytes: int = config["answer_bytes"]
    control.settimeout(0)
    reader, writer = await asyncio.open_connection(sock=control, limit=answer_bytes)
    pool = concurrent.futures.ThreadPoolExecutor(HANDLER_THREADS, thread_name_prefix="handler")
    running: set[asyncio.Task[None]] = set()

    def send(message: dict[str, object]) -> None:
        try:
            data = line(message)
        except (TypeError, ValueError, RecursionError) as error:
            data = line({"id": message["id"], "error": f"The agent's answer is not JSON: {error}"})
        if len(data) > answer_bytes:
            data = line({"id": message["id"], "error": f"The agent's answer is larger than {answer_bytes} bytes"})
        writer.write(data)

    async def answer(request: dict[str, Any]) -> None:
        try:
            send({"id": request["id"], "response": await call(handler, request, pool)})
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the agent raises is its answer
            show(error, config["root"])
            send({"id": request["id"], "error": traceback.format_exception_only(error)[-1].strip()})

    while data := await reader.readline():
        request = json.loads(data)
        if "ping" in request:
            writer.write(line({"pong": request["ping"]}))
            continue
        task = asyncio.create_task(answer(request))
        running.add(task)
        task.add_done_callback(running.discard)


async def call(
    handler: Callable[..., Any], request: dict[str, Any], pool: concurrent.futures.ThreadPoolExecutor
) -> object:
    """Handlers take one mapping (as `pixell run-dev` gives), or (action, context), or nothing."""
    context = request["context"]
    arguments: tuple[Any, ...] = ({"action": request["action"], "data": context, "context": context},)
    match wanted_arguments(handler):
        case 0:
            arguments = ()
        case 2:
            arguments = (request["action"], context)
    if inspect.iscoroutinefunction(handler):
        return await handler(*arguments)
    result = await asyncio.get_running_loop().run_in_executor(pool, handler, *arguments)
    return await result if inspect.isawaitable(result) else result


def wanted_arguments(handler: Callable[..., Any]) -> int:
    try:
        parameters = inspect.signature(handler).parameters.values()
    except (TypeError, ValueError):
        return 1
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return max(1, len([p for p in positional if p.default is p.empty]))
    required = len([p for p in positional if p.default is p.empty])
    return required or min(1, len(positional))


if __name__ == "__main__":
    main()
