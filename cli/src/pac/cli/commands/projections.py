"""`pac projections list|rebuild`: read models, how far behind they are, and made anew beside the live ones."""

import asyncio
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pac.cli.databases import AnyService, OneService, ServiceDatabase, databases
from pac.cli.local.errors import Expected
from pac.cli.output import Format, Output, StateDir, complain, expected, say, say_json, say_table
from pac.cli.progress import ProgressLine

if TYPE_CHECKING:
    from pac.eventlog.rebuild import Progress, Rebuilt

CANCELLED = 130
projections = typer.Typer(no_args_is_help=True, help="Read models: tables that follow a log.")


@projections.command("list")
@expected
def list_(*, service: AnyService = None, state_dir: StateDir = None, output: Output = Format.TABLE) -> None:
    """Every projection with its position, and how far it is behind, in events and seconds."""
    found = [row for one in databases(state_dir, service) for row in asyncio.run(_standing(one))]
    if output is Format.JSON:
        say_json({"projections": found})
        return
    columns = ("service", "name", "position", "lag_events", "lag_seconds", "state")
    say_table(columns, [[row[name] for name in columns] for row in found])


async def _standing(database: ServiceDatabase) -> list[dict[str, Any]]:
    from pac.eventlog.standing import standing_of  # noqa: PLC0415 (slow to import)

    if not (known := database.derived().projections):
        return []
    async with database.opened() as opened:
        found = [await standing_of(opened, projection.name) for projection in known]
    return [
        {
            "service": database.service.value,
            "name": one.name,
            "position": one.position.number,
            "lag_events": one.events,
            "lag_seconds": round(one.seconds, 3),
            "state": "rebuilding" if one.is_rebuilding else "live",
        }
        for one in found
    ]


@projections.command("rebuild")
@expected
def rebuild(
    name: str,
    *,
    service: OneService,
    accept_differences: Annotated[
        bool, typer.Option("--accept-differences", help="Take the new one also where it differs from the live one.")
    ] = False,
    state_dir: StateDir = None,
    output: Output = Format.TABLE,
) -> None:
    """Replay the log beside the live tables, compare row by row, switch. Exit 1 and no switch where they differ.

    Ctrl-C gives up; the live ones stay as they are.
    """
    [database] = databases(state_dir, service)
    try:
        found = asyncio.run(_rebuild(database, name, accept_differences=accept_differences))
    except KeyboardInterrupt:
        complain(Expected("cancelled", f"projection {name} is as it was", f"pac projections rebuild {name}"))
        raise typer.Exit(CANCELLED) from None
    _show(name, found, output)
    if not found.is_switched:
        why = f"{sum(table.differing for table in found.tables)} rows are not what a replay gives; the live ones stay"
        wanted = f"pac projections rebuild {name} --service {service} --accept-differences"
        raise Expected(f"projection {name} was not switched", why, wanted)


async def _rebuild(database: ServiceDatabase, name: str, *, accept_differences: bool) -> "Rebuilt":
    from pac.eventlog.rebuild import LiveInTheWay, Rebuild, RebuildBusy  # noqa: PLC0415 (slow to import)

    if (projection := database.derived().projection(name)) is None:
        known = ", ".join(one.name for one in database.derived().projections) or "it has none"
        raise Expected(f"{database.service} has no projection {name}", f"known: {known}", "pac projections list")
    line = ProgressLine(name)

    def told(progress: "Progress") -> None:
        line.tell(progress.done, progress.total, progress.stage)

    try:
        async with database.opened() as opened:
            return await Rebuild(opened, projection, told).run(accept_differences=accept_differences)
    except RebuildBusy as busy:
        raise Expected("not now", str(busy), "pac projections list") from busy
    except LiveInTheWay as busy:
        raise Expected("not switched", str(busy), f"pac projections rebuild {name} once more") from busy
    finally:
        line.end()


def _show(name: str, found: "Rebuilt", output: Format) -> None:
    if output is Format.JSON:
        tables = [
            {
                "table": table.table,
                "rows": table.rows,
                "differing": table.differing,
                "examples": [str(example) for example in table.examples],
            }
            for table in found.tables
        ]
        told = {"name": name, "events": found.events, "compared_at": found.position.number}
        say_json({**told, "same": found.is_same, "switched": found.is_switched, "tables": tables})
        return
    say(f"{name}: {found.events} events replayed, compared at position {found.position.number}")
    for table in found.tables:
        say(f"  {table.table}: {table.rows} rows, {table.differing} differ")
        for example in table.examples:
            say(f"    {example}")
    if found.is_switched:
        say("switched")
