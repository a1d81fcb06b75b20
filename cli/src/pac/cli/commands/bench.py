"""`pac bench`: this machine's figures, each beside a peer that was measured in the same run."""

import json
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pac.cli.output import Format, Output, expected, say, say_table

if TYPE_CHECKING:
    from pac.cli.bench.measuring import Result

COLUMNS = ("name", "unit", "value", "peer", "peer_value", "ratio", "runs")
INTERRUPTED = 130


@expected
def bench(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="Which ones; all of them if none is named.")
    ] = None,
    *,
    rounds: Annotated[int, typer.Option("--rounds", min=1, help="Paired rounds; fewer than 7 say little.")] = 7,
    seconds: Annotated[float, typer.Option("--seconds", min=0.01, help="Of a measurement by time.")] = 0.8,
    events: Annotated[int, typer.Option("--events", min=1, help="In the log that is read.")] = 100_000,
    deployments: Annotated[int, typer.Option("--deployments", min=1, help="One by one, in each round.")] = 20,
    in_flight: Annotated[int, typer.Option("--in-flight", min=1, help="Deployments at a time.")] = 128,
    megabytes: Annotated[int, typer.Option("--megabytes", min=1, max=104, help="Of an upload.")] = 100,
    existing: Annotated[int, typer.Option("--existing", min=400, help="Deployments of one account before.")] = 100_000,
    keep: Annotated[bool, typer.Option("--keep", help="Write the results below docs/benchmarks.")] = False,
    output: Output = Format.TABLE,
) -> None:
    """Measure PAC beside its peers, on servers of its own. Takes minutes. Less is better for ms, more for the rest."""
    from pac.cli.bench.catalogue import chosen  # noqa: PLC0415 (slow to import)
    from pac.cli.bench.keeping import Keeper  # noqa: PLC0415
    from pac.cli.bench.measuring import Options  # noqa: PLC0415
    from pac.cli.bench.session import Interrupted, measure  # noqa: PLC0415

    options = Options(rounds, seconds, events, deployments, in_flight, megabytes, existing)
    benchmarks = chosen(names or [])
    keeper = Keeper.of_the_checkout() if keep else None
    try:
        results = measure(benchmarks, options, _progress, _tell_json if output is Format.JSON else _tell)
    except Interrupted:
        raise typer.Exit(INTERRUPTED) from None
    if output is Format.TABLE:
        say_table(COLUMNS, [[one.shown()[column] for column in COLUMNS] for one in results])
    if keeper is not None:
        _progress(f"kept in {keeper.keep(results, options)}")


def _progress(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _tell(result: "Result") -> None:
    _progress(f"  {result.name}: {result.shown()['ratio']} of {result.peer}")


def _tell_json(result: "Result") -> None:
    say(json.dumps(result.shown(), ensure_ascii=False))
