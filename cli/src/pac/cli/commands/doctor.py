"""`pac doctor`: what is wrong on this machine, each with the command that mends it."""

from typing import Annotated

import typer

from pac.cli.context import state_dir_of
from pac.cli.output import Format, Output, StateDir, expected, say_json, say_table


@expected
def doctor(
    *,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as failures.")] = False,
) -> None:
    """Look for what would keep `pac up` from working; exit 1 if something does."""
    from pac.cli.local.examination import Verdict, examine  # noqa: PLC0415 (slow to import)

    findings = examine(state_dir_of(state_dir))
    if output is Format.JSON:
        say_json(
            {"findings": [{"name": f.name, "verdict": f.verdict, "found": f.found, "mend": f.mend} for f in findings]}
        )
    else:
        say_table(("", "verdict", "found", "mend with"), [(f.name, f.verdict, f.found, f.mend) for f in findings])
    bad = {Verdict.BAD, Verdict.WARNING} if strict else {Verdict.BAD}
    if any(finding.verdict in bad for finding in findings):
        raise typer.Exit(1)
