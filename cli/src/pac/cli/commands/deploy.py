"""`pac deploy`, `pac watch`."""

import asyncio
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from pac.cli.context import Target, target_of
from pac.cli.local.errors import Expected
from pac.cli.local.gateway import Denied, Gateway, Json
from pac.cli.output import Format, Output, StateDir, expected, say, say_json

POLL_SECONDS = 0.3
TIMED_OUT = 124
FAILED = 1
SERVER_ERROR = 500
TOO_MANY = 429
SIGNS = {"completed": "✓", "processing": "▶", "failed": "✗"}
Timeout = Annotated[float, typer.Option("--timeout", min=0.1, help="Seconds to wait for the end.")]


@expected
def deploy(
    file: Annotated[Path, typer.Argument(help="The package, an .apkg file.")],
    *,
    app: Annotated[str | None, typer.Option("--app", help="Agent app id (the local one).")] = None,
    version: Annotated[str | None, typer.Option("--version", help="Of the package (the one it holds).")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Watch it until it ends.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Let it take a version that exists.")] = False,
    timeout: Timeout = 300.0,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Deploy a package. With --wait: exit 0 completed, 1 failed, 124 timed out."""
    if not file.is_file():
        raise Expected(f"{file} cannot be deployed", "there is no such file", "pac build DIR")
    target = target_of(state_dir)
    app = app or target.needs("app_id")
    fields = {"version": version or _version_in(file), **({"force_overwrite": "true"} if force else {})}
    answer = asyncio.run(_send(target, app, file, fields))
    follow(target, answer, wait=wait, timeout=timeout, output=output)


def follow(target: Target, accepted: Json, *, wait: bool, timeout: float, output: Format) -> None:
    """Shows a deployment that was accepted; with `wait` until it ends, and then exits."""
    deployment = accepted["deployment"]
    if wait:
        raise typer.Exit(_watch(target, str(deployment["id"]), timeout, output))
    if output is Format.JSON:
        say_json(accepted)
    else:
        say(f"deployment {deployment['id']} is {deployment['status']}")
        say(f"  pac watch {deployment['id']}")


@expected
def watch(
    deployment: Annotated[str, typer.Argument(help="Deployment id.")],
    *,
    timeout: Timeout = 300.0,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Show a deployment's steps until it ends: exit 0 completed, 1 failed, 124 timed out."""
    raise typer.Exit(_watch(target_of(state_dir), deployment, timeout, output))


def _version_in(file: Path) -> str:
    from pac.agentkit.apkg import inspect  # noqa: PLC0415 (slow to import)

    found = inspect(file)
    if found.version is not None:
        return found.version
    reason = "; ".join(problem.message for problem in found.problems) or "no manifest names it"
    raise Expected(f"the version of {file} is not known", reason, f"pac deploy {file} --version 1.0.0")


async def _send(target: Target, app: str, file: Path, fields: dict[str, str]) -> Json:
    import aiohttp  # noqa: PLC0415 (slow to import)

    form = aiohttp.FormData()
    for name, text in fields.items():
        form.add_field(name, text)
    async with Gateway(target.url, target.needs("api_key")) as gateway:
        with file.open("rb") as content:  # read piece by piece while it is sent
            form.add_field("file", content, filename="agent.apkg", content_type="application/octet-stream")
            path = f"/api/agent-apps/{app}/packages/deploy"
            # The whole may take as long as the upload takes; silence may not.
            patience = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=90)
            return await gateway.call("POST", path, what=f"{file} was not deployed", data=form, timeout=patience)


def _watch(target: Target, deployment: str, timeout: float, output: Format) -> int:
    say_step = say if output is Format.TABLE else _aside
    seen = asyncio.run(_until_ended(target, deployment, timeout, _Shown(say_step)))
    if output is Format.JSON:
        say_json(seen)
    match seen.get("status"):
        case "completed":
            return 0
        case "failed":
            return FAILED
        case other:
            why = f"it is {other or 'unknown'} after {timeout:g} s"
            error = Expected(f"deployment {deployment} has not ended", why, f"pac watch {deployment}")
            sys.stderr.write(f"pac: {error.advice}\n")
            return TIMED_OUT


def _aside(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@dataclass
class _Shown:
    """Says what is new in each answer, and nothing twice."""

    say: Callable[[str], None]
    said: set[str] = field(default_factory=set)

    def show(self, deployment: Json) -> None:
        lines = [] if deployment["status"] == "processing" else [f"  {deployment['status']}"]
        steps = [step for step in (deployment.get("progress") or {}).get("steps", ()) if step["status"] in SIGNS]
        lines += [f"{SIGNS[step['status']]} {step['name']} {step['status']}" for step in steps]
        if deployment["status"] in ("completed", "failed"):
            lines.remove(f"  {deployment['status']}")
            took = deployment.get("duration_seconds")
            lines.append(f"{deployment['status']}" + (f" after {took} s" if took is not None else ""))
            if deployment.get("error"):
                lines.append(f"  {deployment['error']}")
        for line in lines:
            if line not in self.said:
                self.said.add(line)
                self.say(line)


async def _until_ended(target: Target, deployment: str, patience_seconds: float, shown: _Shown) -> Json:
    """The last answer seen. Passing trouble of the gateway is waited out."""
    seen: Json = {}
    deadline = time.monotonic() + patience_seconds
    async with Gateway(target.url, target.needs("api_key")) as gateway:
        while True:
            try:
                answer = await gateway.call(
                    "GET", f"/api/deployments/{deployment}", what="the deployment cannot be seen"
                )
                seen = answer["deployment"]
                shown.show(seen)
            except Denied as denied:
                if denied.status != TOO_MANY and denied.status < SERVER_ERROR:
                    raise
            except Expected:
                pass  # nobody answers at the moment
            if seen.get("status") in ("completed", "failed") or time.monotonic() >= deadline:
                return seen
            await asyncio.sleep(min(POLL_SECONDS, max(0.0, deadline - time.monotonic())))
