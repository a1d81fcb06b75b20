"""`pac keys`, `pac credits`."""

import asyncio
import uuid
from typing import Annotated, Any

import typer

from pac.cli.context import Target, target_of
from pac.cli.local.gateway import Gateway, Json
from pac.cli.output import Format, Output, StateDir, expected, say, say_json, say_table

keys = typer.Typer(no_args_is_help=True, help="API keys of an account.")
credits_ = typer.Typer(no_args_is_help=True, help="Credits of an account.")
Account = Annotated[str | None, typer.Option("--account", help="Account id (the local one).")]


def call(target: Target, key: str, method: str, path: str, **options: Any) -> Json:
    async def run() -> Json:
        async with Gateway(target.url, target.needs(key)) as gateway:
            return await gateway.call(method, path, **options)

    return asyncio.run(run())


@keys.command("create")
@expected
def create_key(
    name: str,
    *,
    account: Account = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="deploy, read, secrets, admin; repeat it (all of them).")
    ] = None,
    expires_at: Annotated[str | None, typer.Option("--expires-at", help="ISO time with a zone.")] = None,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Make an API key. It is shown this once only."""
    target = target_of(state_dir)
    account = account or target.needs("account_id")
    wish: Json = {"name": name, "scopes": scope, "expires_at": expires_at}
    body = {field: value for field, value in wish.items() if value}
    made = call(
        target,
        "admin_key",
        "POST",
        f"/api/admin/accounts/{account}/api-keys",
        body=body,
        what="the key was not made",
    )
    if output is Format.JSON:
        say_json(made["api_key"])
    else:
        say(made["api_key"]["key"])


@keys.command("list")
@expected
def list_keys(*, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """The account's keys, without the keys themselves."""
    target = target_of(state_dir)
    found: list[Json] = []
    cursor: str | None = None
    while True:
        query = {"params": {"cursor": cursor}} if cursor else {}
        page = call(target, "api_key", "GET", "/api/api-keys", what="keys cannot be listed", **query)
        found += page["api_keys"]
        if (cursor := page.get("next_cursor")) is None:
            break
    if output is Format.JSON:
        say_json({"api_keys": found})
        return
    fields = ("id", "name", "last4", "scopes", "created_at", "expires_at", "last_used_at")
    say_table(fields, [[_text(key.get(field)) for field in fields] for key in found])


@keys.command("revoke")
@expected
def revoke_key(key_id: str, *, state_dir: StateDir = None) -> None:
    """End a key; it is refused everywhere within five seconds."""
    call(target_of(state_dir), "api_key", "DELETE", f"/api/api-keys/{key_id}", what="the key was not revoked")
    say(f"revoked {key_id}")


@credits_.command("grant", context_settings={"ignore_unknown_options": True})  # -5 is an amount, no option
@expected
def grant(
    amount: Annotated[int, typer.Argument(help="Whole credits; below zero takes back what is still available.")],
    *,
    key: Annotated[
        str | None, typer.Option("--key", help="A name of this grant: said again, it grants nothing more.")
    ] = None,
    account: Account = None,
    reason: Annotated[str, typer.Option("--reason")] = "pac credits grant",
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Give credits to an account, or correct a grant (operator)."""
    target = target_of(state_dir)
    account = account or target.needs("account_id")
    made = call(
        target,
        "admin_key",
        "POST",
        f"/api/admin/accounts/{account}/credits",
        body={"amount": amount, "reason": reason},
        headers={"Idempotency-Key": key or str(uuid.uuid4())},
        what="the credits were not granted",
    )
    if output is Format.JSON:
        say_json(made)
    else:
        say(f"granted {amount}; available {made['entry'].get('balance')}")


@credits_.command("show")
@expected
def show(*, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """What the account has, has on hold, and has spent."""
    found = call(target_of(state_dir), "api_key", "GET", "/api/credits", what="credits cannot be read")
    if output is Format.JSON:
        say_json(found)
    else:
        say_table(
            ("available", "reserved", "spent"), [[found.get(name) for name in ("available", "reserved", "spent")]]
        )


@credits_.command("ledger")
@expected
def ledger(
    *,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Entries at most.")] = 50,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Every movement, the newest first."""
    target = target_of(state_dir)
    found: list[Json] = []
    cursor: str | None = None
    while len(found) < limit:
        query = {"limit": str(min(100, limit - len(found))), **({"cursor": cursor} if cursor else {})}
        page = call(target, "api_key", "GET", "/api/credits/ledger", what="the ledger cannot be read", params=query)
        found += page["entries"]
        if (cursor := page.get("next_cursor")) is None:
            break
    if output is Format.JSON:
        say_json({"entries": found, "next_cursor": cursor})
        return
    fields = ("at", "kind", "amount", "balance", "deployment_id", "reason")
    say_table(fields, [[_text(entry.get(field)) for field in fields] for entry in found])


def _text(value: object) -> str:
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
