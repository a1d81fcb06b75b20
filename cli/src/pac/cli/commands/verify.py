"""`pac verify`: is a proof sound? Asks nobody; works without PAC, on any machine."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pac.cli.local.errors import Expected
from pac.cli.output import Format, Output, complain, say, say_json

if TYPE_CHECKING:
    from pac.servicekit.proof.chains import PinnedKeys
    from pac.servicekit.proof.verdict import Verdict

BROKEN, WRONG_CALL = 1, 2
SHOWN = ("outcome", "credits", "amount", "events", "missing", "keys", "pinned")


def verify(
    file: Annotated[Path, typer.Argument(help="What GET /api/deployments/ID/proof answered.")],
    *,
    keys: Annotated[
        Path | None, typer.Option("--keys", help="What GET /.well-known/pac-proof-keys answered: only these count.")
    ] = None,
    output: Output = Format.TABLE,
) -> None:
    """Check offline that credits moved exactly once, and why. Exit 0 sound, 1 broken (the entry is named)."""
    from pac.servicekit.proof.verdict import verdict_on  # noqa: PLC0415 (slow to import)

    try:
        verdict = verdict_on(_content(file), _pinned(keys))
    except Expected as error:
        complain(error)
        raise typer.Exit(WRONG_CALL) from None
    if output is Format.JSON:
        say_json(_told(verdict))
    else:
        _show(verdict, file)
    if not verdict.sound:
        raise typer.Exit(BROKEN)


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as fault:
        raise Expected(f"{file} cannot be read", str(fault.strerror), "pac verify FILE") from None


def _pinned(keys: Path | None) -> "PinnedKeys | None":
    from pac.servicekit.proof.chains import PinnedKeys  # noqa: PLC0415 (slow to import)

    if keys is None:
        return None
    try:
        return PinnedKeys.read(_content(keys))
    except ValueError as fault:
        what = f"{keys} holds no keys"
        raise Expected(what, str(fault), f"curl GATEWAY/.well-known/pac-proof-keys > {keys}") from None


def _told(verdict: "Verdict") -> dict[str, Any]:
    told: dict[str, Any] = {"sound": verdict.sound, "deployment_id": verdict.deployment_id}
    if verdict.sound:
        return told | {name: getattr(verdict, name) for name in SHOWN}
    faults = [
        {"stream": fault.stream, "version": fault.version, "field": fault.field, "what": fault.what}
        for fault in verdict.faults
    ]
    return told | {"faults": faults}


def _show(verdict: "Verdict", file: Path) -> None:
    if not verdict.sound:
        say(f"{file} is broken")
        for fault in verdict.faults:
            say(f"  {fault}")
        return
    outcome = verdict.outcome or "not shown"
    say(f"sound: deployment {verdict.deployment_id}, {outcome}; {verdict.amount} credits {verdict.credits}")
    say(f"  {verdict.events} events, each chained to the one before; heads signed by {', '.join(verdict.keys or ())}")
    if verdict.missing:
        say(f"  left out, because it could not be asked then: {', '.join(verdict.missing)}")
    if not verdict.pinned:
        sys.stderr.write("pac: the keys are the proof's own word; pin them with --keys to know who has signed\n")
