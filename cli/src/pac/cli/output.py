"""How commands speak: tables for people, JSON for programs, advice on stderr for what went wrong."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from pac.cli.local.errors import Expected

P = ParamSpec("P")
R = TypeVar("R")


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"


Output = Annotated[Format, typer.Option("-o", "--output", help="table, or json for programs.")]
StateDir = Annotated[Path | None, typer.Option("--state-dir", help="Where `pac up` keeps everything (PAC_STATE_DIR).")]


def say(line: str) -> None:
    """To whoever listens. A reader that has gone (`pac up --detach | head`) ends what is said, never what is done."""
    try:
        sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def complain(error: Expected) -> None:
    sys.stderr.write(f"pac: {error.advice}\n")
    sys.stderr.flush()


def say_json(value: Any) -> None:
    say(json.dumps(value, indent=2, ensure_ascii=False))


def say_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    from rich.console import Console  # noqa: PLC0415 (slow to import)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))  # as it is: `[/]` is a name, too
    # A pipe has no width: nothing is cut off there.
    console = Console(width=None if sys.stdout.isatty() else 1000)
    with console.capture() as drawn:
        console.print(table)
    say(drawn.get().rstrip("\n"))


def expected(command: Callable[P, R]) -> Callable[P, R]:
    """An expected failure ends a command with advice and code 1, never with a traceback."""

    @wraps(command)
    def run(*arguments: P.args, **options: P.kwargs) -> R:
        try:
            return command(*arguments, **options)
        except Expected as error:
            complain(error)
            raise typer.Exit(1) from None

    return run
