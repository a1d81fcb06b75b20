"""`pac secrets`: an app's stored secrets and their versions, and the key that wraps those of all apps."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pac.cli.commands.account import call
from pac.cli.context import Target, state_dir_of, target_of
from pac.cli.databases import Service, ServiceDatabase, databases
from pac.cli.local.environment import Own
from pac.cli.local.errors import Expected
from pac.cli.local.state import StateFolder
from pac.cli.output import Format, Output, StateDir, complain, expected, say, say_json, say_table
from pac.cli.progress import ProgressLine

if TYPE_CHECKING:
    from pac.runtime_notifier.secrets.envelope import KeyRing
    from pac.runtime_notifier.secrets.rekey import Rekeyed

CANCELLED = 130
WRONG_CALL = 2
KEY = "RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY"
RETIRED_KEYS = "RUNTIME_NOTIFIER_KEY_ENCRYPTION_RETIRED_KEYS"
secrets = typer.Typer(no_args_is_help=True, help="Secrets stored for an agent app.")
App = Annotated[str | None, typer.Option("--app", help="Agent app id (the local one).")]


@secrets.command("list")
@expected
def list_(*, app: App = None, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """Names, never values: which there are, who set them, when."""
    target, query = target_of(state_dir), {"masked": "true"}
    found = call(target, "api_key", "GET", _path(target, app), what="secrets cannot be listed", params=query)
    if output is Format.JSON:
        say_json({"version": found["version"], "keys": found["keys"]})
        return
    columns = ("key", "version", "set_by", "set_at")
    say_table(columns, [[one[name] for name in columns] for one in found["keys"]])


@secrets.command("set")
@expected
def set_(
    key: Annotated[str, typer.Argument(help="The name, such as API_TOKEN; API_TOKEN=- says the same.")],
    *,
    app: App = None,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Set one secret to what comes on stdin, or is typed unseen; never on the command line, which others can see."""
    name, given, value = key.partition("=")
    if given and value != "-":
        complain(Expected("no value on the command line", "others see it there", f"pac secrets set {name} < FILE"))
        raise typer.Exit(WRONG_CALL)
    target = target_of(state_dir)
    path = f"{_path(target, app)}/{name}"
    saved = call(target, "api_key", "PUT", path, what=f"{name} was not set", body={"value": _value(name)})
    if output is Format.JSON:
        say_json(saved)
    else:
        say(f"set {name}; an agent is given it at its next start")


@secrets.command("delete")
@expected
def delete(
    key: Annotated[str | None, typer.Argument(help="The name.")] = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All of the app's.")] = False,
    app: App = None,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Delete one secret, or all of them."""
    if (key is None) is not every:
        complain(Expected("nothing is deleted", "a name or --all says what", "pac secrets delete KEY"))
        raise typer.Exit(WRONG_CALL)
    target = target_of(state_dir)
    path = _path(target, app) if key is None else f"{_path(target, app)}/{key}"
    deleted = call(target, "api_key", "DELETE", path, what=f"{key or 'secrets'} cannot be deleted")
    if output is Format.JSON:
        say_json(deleted)
    else:
        say(f"deleted {key or 'all secrets'}")


@secrets.command("versions")
@expected
def versions(
    key: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Only changes of this one.")] = None,
    *,
    app: App = None,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """The changes that can be undone, the newest first: when, by whom, which names; never values."""
    target = target_of(state_dir)
    found = call(target, "api_key", "GET", f"{_path(target, app)}/versions", what="versions cannot be listed")
    changes = [one for one in found["versions"] if key is None or key in one["names"]]
    if output is Format.JSON:
        say_json({**found, "versions": changes})
        return
    rows = [(one["version"], one["at"], one["by"], " ".join(one["names"])) for one in changes]
    say_table(("version", "at", "by", "names"), rows)


@secrets.command("restore")
@expected
def restore(
    key: Annotated[str, typer.Argument(metavar="NAME", help="The name.")],
    version: Annotated[int, typer.Argument(min=0, help="The app's version at which it had the value.")],
    *,
    app: App = None,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Give one secret the value that it had at a version; the others stay. It can be undone in the same way."""
    target, wish = target_of(state_dir), {"version": version, "key": key}
    path, what = f"{_path(target, app)}/restore", f"{key} was not restored"
    restored = call(target, "api_key", "POST", path, what=what, body=wish)
    if output is Format.JSON:
        say_json(restored)
    else:
        say(f"restored {key} as it was at version {version}; an agent is given it at its next start")


@secrets.command("rekey")
@expected
def rekey(*, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """Put all secrets under the newest key-encryption key, also those of webhooks. It can be cut off and run again.

    RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY is the newest, RUNTIME_NOTIFIER_KEY_ENCRYPTION_RETIRED_KEYS those before it, as
    the services have them; the local stack's own is known.
    """
    ring = _ring(state_dir)
    [database] = databases(state_dir, Service.RUNTIME_NOTIFIER)
    try:
        done = asyncio.run(_rekey(database, ring))
    except KeyboardInterrupt:
        complain(Expected("cut off", "what is done stays done", "pac secrets rekey"))
        raise typer.Exit(CANCELLED) from None
    if output is Format.JSON:
        say_json(
            {
                "key_id": done.kek_id,
                "rewrapped": done.rewrapped,
                "resealed": done.resealed,
                "unreadable": list(done.unreadable),
            }
        )
    else:
        say(f"under the key {done.kek_id}: {done.rewrapped} data keys, {done.resealed} secrets of webhooks")
    if done.unreadable:
        raise Expected(f"{len(done.unreadable)} stay as they are", done.unreadable[0], f"add the key to {RETIRED_KEYS}")


async def _rekey(database: ServiceDatabase, ring: "KeyRing") -> "Rekeyed":
    from pac.runtime_notifier.secrets.rekey import Rekeying  # noqa: PLC0415 (slow to import)

    line = ProgressLine("data keys")
    try:
        async with database.opened() as log:
            return await Rekeying(log, ring).run(line.tell)
    finally:
        line.end()


def _ring(state_dir: Path | None, environment: Mapping[str, str] = os.environ) -> "KeyRing":
    from pac.runtime_notifier.secrets.envelope import KeyRing  # noqa: PLC0415 (slow to import)

    own = Own(environment)
    current = own.get(KEY) or StateFolder(state_dir_of(state_dir, environment)).read("secrets.json").get(KEY)
    if not current:
        raise Expected(f"{KEY} is not set", "no stack of `pac up` has made one here", f"export {KEY}=…")
    try:
        return KeyRing.from_base64(current, own.get(RETIRED_KEYS) or "")
    except ValueError as fault:
        raise Expected(f"{KEY} or {RETIRED_KEYS} is not usable", str(fault), "openssl rand -base64 32") from None


def _path(target: Target, app: str | None) -> str:
    return f"/api/agent-apps/{app or target.needs('app_id')}/secrets"


def _value(name: str) -> str:
    """Of a file or a pipe all of it but one line end, which editors and `echo` add."""
    if sys.stdin.isatty():
        return str(typer.prompt(name, hide_input=True, err=True))
    return sys.stdin.read().removesuffix("\n").removesuffix("\r")
