"""`pac rollback`, `pac release`, `pac stop`: what runs of an app."""

import asyncio
from typing import Annotated

import typer

from pac.cli.commands.deploy import Timeout, follow
from pac.cli.context import Target, target_of
from pac.cli.local.gateway import Gateway, Json
from pac.cli.output import Format, Output, StateDir, expected, say, say_json

App = Annotated[str | None, typer.Option("--app", help="Agent app id (the local one).")]


@expected
def rollback(
    *,
    to: Annotated[
        str | None, typer.Option("--to", help="A deployment that has completed (the release before the current one).")
    ] = None,
    app: App = None,
    wait: Annotated[bool, typer.Option("--wait", help="Watch it until it ends.")] = False,
    timeout: Timeout = 300.0,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Run what ran before, with its environment of then. Free; pins the app until `pac release`."""
    target = target_of(state_dir)
    answer = asyncio.run(_post(target, app, "rollback", {"to": to} if to else {}))
    follow(target, answer, wait=wait, timeout=timeout, output=output)


@expected
def release(*, app: App = None, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """Let deployments become current again after a rollback."""
    _set(app, "release", state_dir, output)


@expected
def stop(*, app: App = None, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """Let nothing of an app run until something is deployed again."""
    _set(app, "stop", state_dir, output)


def _set(app: str | None, what: str, state_dir: StateDir, output: Format) -> None:
    answer = asyncio.run(_post(target_of(state_dir), app, what, {}))
    if output is Format.JSON:
        say_json(answer)
        return
    shown = answer["agent_app"]
    pinned, runs = "pinned" if shown["pinned"] else "not pinned", "stopped" if shown["stopped"] else "not stopped"
    say(f"app {shown['id']}: {pinned}, {runs}; current deployment {shown['current_deployment_id'] or 'none'}")


async def _post(target: Target, app: str | None, what: str, body: Json) -> Json:
    async with Gateway(target.url, target.needs("api_key")) as gateway:
        path = f"/api/agent-apps/{app or target.needs('app_id')}/{what}"
        return await gateway.call("POST", path, what=f"the app could not be set to {what}", body=body)
