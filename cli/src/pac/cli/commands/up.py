"""`pac up`, `pac down`, `pac status`."""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from pac.cli.context import state_dir_of, status_of
from pac.cli.local.errors import Expected
from pac.cli.output import Format, Output, StateDir, complain, expected, say, say_json, say_table
from pac.cli.stopping import Asked

READY_LINE = "\0ready"
BURY_SECONDS = 5.0
OURSELVES = (sys.executable, "-m", "pac.cli")


@expected
def up(
    *,
    detach: Annotated[bool, typer.Option("--detach", help="Return when everything is ready.")] = False,
    state_dir: StateDir = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete all data of this state folder first.")] = False,
    replicas: Annotated[int, typer.Option("--replicas", min=1, max=4, help="Processes of every service.")] = 1,
) -> None:
    """Start PAC on this machine: PostgreSQL, Kafka, S3, the services and the local runtime."""
    from pac.cli.local.running import Running  # noqa: PLC0415 (slow to import)

    folder = state_dir_of(state_dir)
    running = Running.at(folder)
    if running is not None and running.is_running():
        if fresh:
            raise Expected("PAC is running", f"its data in {folder} is in use", f"pac down --state-dir {folder}")
        say(f"PAC is running already, with its state in {folder}")
        _show(status_of(folder))
        return
    if detach:
        raise typer.Exit(_detach(folder, fresh=fresh, replicas=replicas))
    raise typer.Exit(asyncio.run(_foreground(folder, fresh=fresh, replicas=replicas, on_ready=_show)))


@expected
def down(
    *,
    state_dir: StateDir = None,
    wipe: Annotated[bool, typer.Option("--wipe", help="Delete all data of this state folder as well.")] = False,
) -> None:
    """Stop all of it, in order."""
    from pac.cli.local.running import Running  # noqa: PLC0415 (slow to import)
    from pac.cli.local.runtime_home import wipe_runtime_home  # noqa: PLC0415

    folder = state_dir_of(state_dir)
    running = Running.at(folder)
    if running is None:
        say(f"nothing runs in {folder}")
        return
    was_running = running.is_running()
    left = asyncio.run(running.stop())
    for record in left:
        say(f"ended {record.name} (pid {record.pid})")
    say("PAC is stopped" if was_running or left else f"nothing ran in {folder}")
    if wipe:
        wipe_runtime_home(running.state)
        running.state.wipe()
        say(f"all data in {folder} is deleted")


@expected
def status(*, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """What runs, where, and the keys to it."""
    found = status_of(state_dir_of(state_dir))
    if output is Format.JSON:
        say_json(found)
    else:
        _show(found)


async def _foreground(folder: Path, *, fresh: bool, replicas: int, on_ready: Callable[[dict[str, Any]], None]) -> int:
    from pac.cli.local import orphans  # noqa: PLC0415 (slow to import)
    from pac.cli.local.pac import LocalPac  # noqa: PLC0415
    from pac.cli.local.records import end_leftovers  # noqa: PLC0415
    from pac.cli.local.running import Running  # noqa: PLC0415
    from pac.cli.local.runtime_home import wipe_runtime_home  # noqa: PLC0415
    from pac.cli.local.state import StateFolder  # noqa: PLC0415

    orphans.adopt()
    state = StateFolder.at(folder)
    if fresh:
        await end_leftovers(state.records)
        wipe_runtime_home(state)
        state.wipe()
    begun = time.monotonic()
    pac = LocalPac(folder, os.environ, say, replicas)
    Running(state).announce()
    asked = Asked.by_signals()
    starting = asyncio.create_task(pac.start())
    stopping = asyncio.create_task(asked.first.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        try:
            starting.result()
        except Expected:
            orphans.end_all()
            raise
        say(f"ready after {time.monotonic() - begun:.1f} s")
        on_ready(pac.status())
        while not asked.first.is_set():
            await asyncio.wait({stopping}, timeout=BURY_SECONDS)
            orphans.bury([one.pid for one in pac.supervisor.status() if one.pid is not None])
    say("stopping")
    await asked.ended(_end(starting, pac.stop), pac.supervisor.kill_all)
    orphans.end_all()
    say("stopped")
    return 0


async def _end(starting: "asyncio.Task[None]", stop: Callable[[], Any]) -> None:
    starting.cancel()
    await asyncio.gather(starting, return_exceptions=True)
    await stop()


def _detach(folder: Path, *, fresh: bool, replicas: int) -> int:
    """Starts ourselves again in a session of its own, and shows what it says until it is ready."""
    command = [*OURSELVES, "up-detached", "--state-dir", str(folder), "--replicas", str(replicas)]
    with subprocess.Popen(  # noqa: S603 (argv is ours)
        [*command, *(["--fresh"] if fresh else [])],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                if line.rstrip("\n") == READY_LINE:
                    child.returncode = 0  # it goes on without us: nothing to wait for
                    return 0
                say(line.rstrip("\n"))
        except KeyboardInterrupt:
            child.terminate()
        return child.wait()


def up_detached(
    *, state_dir: Annotated[Path, typer.Option("--state-dir")], fresh: bool = False, replicas: int = 1
) -> None:
    """What `pac up --detach` leaves running."""

    def on_ready(status: dict[str, Any]) -> None:
        _show(status)
        say(READY_LINE)
        # From here on nobody reads what we say, and our terminal may close.
        log = os.open(state_dir / "logs" / "pac.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(log)

    try:
        code = asyncio.run(_foreground(state_dir, fresh=fresh, replicas=replicas, on_ready=on_ready))
    except Expected as error:
        complain(error)
        code = 1
    raise typer.Exit(code)


def _activation() -> Path | None:
    """What to source, where the `pac` of a plain shell is not this one: `uv run` changes PATH for us alone."""
    folder = Path(sys.executable).parent
    elsewhere = [part for part in os.environ.get("PATH", "").split(os.pathsep) if part != str(folder)]
    script = folder / "activate"
    if not script.exists() or shutil.which("pac", path=os.pathsep.join(elsewhere)):
        return None
    return script.relative_to(Path.cwd()) if script.is_relative_to(Path.cwd()) else script


def _show(status: dict[str, Any]) -> None:
    rows = [
        (one["name"], one["pid"], "ready" if one["ready"] else "not ready", one["restarts"])
        for one in status["processes"]
    ]
    say_table(("process", "pid", "state", "restarts"), rows)
    if "api_key" not in status:
        say("starting; see: pac status")
        return
    url, key, app = status["gateway_url"], status["api_key"], status["app_id"]
    s3 = status["s3"]
    say("")
    say_table(
        ("", ""),
        [
            ("gateway", url),
            ("account", status["account_id"]),
            ("app", app),
            ("api key", key),
            ("postgres", status["postgres_url"]),
            ("kafka", status["kafka_servers"]),
            ("s3", f"{s3['endpoint']}  bucket {s3['bucket']}"),
            ("runtime", status["runtime_url"]),
            ("state", status["state_dir"]),
        ],
    )
    say("")
    if (activate := _activation()) is not None:
        say("to have pac and its Python in your shell:")
        say(f"  source {activate}")
    say("deploy an agent:")
    say("  pac deploy AGENT.apkg --wait")
    if url.endswith(":4000"):
        say(f"  pixell deploy --env local --apkg-file AGENT.apkg --app-id {app} --api-key {key}")
    else:
        say("  (the pixell command knows port 4000 only: start with GATEWAY_PORT=4000 to use it)")
    say("look and stop:")
    say("  pac status    pac doctor    pac down")
