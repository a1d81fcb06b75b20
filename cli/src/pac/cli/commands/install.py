"""`pac run`, `pac config env`, `pac accounts create`: for installations other than that of `pac up`."""

import asyncio
import os
import sys
from enum import StrEnum
from typing import Annotated

import typer

from pac.cli.context import target_of
from pac.cli.local.gateway import Gateway, Json
from pac.cli.output import Format, Output, StateDir, expected, say, say_json

config = typer.Typer(no_args_is_help=True, help="Settings of an installation.")
accounts = typer.Typer(no_args_is_help=True, help="Accounts (operator).")


class Process(StrEnum):
    """Whatever runs for long; the value names its module under `pac`."""

    GATEWAY = "gateway"
    PACKAGES = "packages"
    DEPLOYMENTS = "deployments"
    BILLING = "billing"
    RUNTIME_NOTIFIER = "runtime-notifier"
    RUNTIME = "runtime"

    @property
    def module(self) -> str:
        return "pac.agentkit.runtime" if self is Process.RUNTIME else f"pac.{self.value.replace('-', '_')}"


def run(process: Annotated[Process, typer.Argument(help="A service, or the local runtime.")]) -> None:
    """Run one process in the foreground, with the settings of the environment. It takes this process's place."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", process.module])  # noqa: S606 (no shell is wanted)


@config.command("env")
@expected
def env(
    *,
    servers: Annotated[bool, typer.Option(help="Also passwords of the servers that docker-compose.yml starts.")] = True,
) -> None:
    """Print new secrets of an installation, as lines of a .env file. They are made anew at each call."""
    from pac.cli.local.generated import of_servers, of_services  # noqa: PLC0415 (slow to import)

    made = {**of_services(), **(of_servers() if servers else {})}
    say("\n".join(f"{name}={value}" for name, value in made.items()))


@accounts.command("create")
@expected
def create(
    name: str,
    *,
    app: Annotated[str, typer.Option("--app", help="Name of its first app.")] = "app",
    credits_: Annotated[int, typer.Option("--credits", min=0, help="Credits that it is given.")] = 0,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Open an account with an API key and an app. The key is shown this once only."""
    target = target_of(state_dir)
    made = asyncio.run(_opened(target.url, target.needs("admin_key"), name, app, credits_))
    if output is Format.JSON:
        say_json(made)
    else:
        say("\n".join(f"PAC_{field.upper()}={value}" for field, value in made.items()))


async def _opened(url: str, admin_key: str, name: str, app: str, amount: int) -> Json:
    async with Gateway(url, admin_key) as operator:
        opened = await operator.call("POST", "/api/admin/accounts", body={"name": name})
        account = f"/api/admin/accounts/{opened['account']['id']}"
        key = (await operator.call("POST", f"{account}/api-keys", body={"name": "first key"}))["api_key"]["key"]
        if amount:
            body = {"amount": amount, "reason": "first credits"}
            once = {"Idempotency-Key": f"first-{opened['account']['id']}"}
            await operator.call("POST", f"{account}/credits", body=body, headers=once)
    async with Gateway(url, key) as gateway:
        made = await gateway.call("POST", "/api/agent-apps", body={"name": app})
    return {"account_id": opened["account"]["id"], "app_id": made["agent_app"]["id"], "api_key": key}
