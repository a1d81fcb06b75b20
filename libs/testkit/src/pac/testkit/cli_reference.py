"""docs/reference/cli.md: every command of `pac`, its arguments and options, from the command tree itself.

`python -m pac.testkit.cli_reference [--check] PATH`.
"""

import sys
from collections.abc import Iterator
from typing import Any

import typer.main

from pac.cli.application import build
from pac.testkit.pages import main

HEAD = """\
# The `pac` command

Generated from the commands by `make generate`; not to be edited. What they print is told in [cli](../../cli/README.md).
"""


def page() -> str:
    return "\n".join([HEAD, *(_section(name, command) for name, command in commands())])


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that is shown, with its whole name: `pac log verify`."""
    yield from _below("pac", typer.main.get_command(build()))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for below, one in command.commands.items():
        if not one.hidden:
            yield from _below(f"{name} {below}", one)


def _section(name: str, command: Any) -> str:
    given = [one for one in command.params if one.param_type_name == "argument"]
    options = [one for one in command.params if one.param_type_name == "option" and not one.hidden]
    call = " ".join([name, *(_argument(one) for one in given), *(["[OPTIONS]"] if options else [])])
    rows = [f"| `{_argument(one)}` | {_cell(one.help)} |" for one in given]
    rows += [
        f"| `{', '.join([*one.opts, *one.secondary_opts])}` | {_cell(one.help)}{_variable(one)} |" for one in options
    ]
    table = ["| | |", "|---|---|", *rows, ""] if rows else []
    return "\n".join([f"## {name}", "", f"`{call}`", "", _text(command.help), "", *table])


def _argument(one: Any) -> str:
    shown = (one.metavar or one.name or "").upper().strip("[]").replace("...", "")
    shown += "…" if one.nargs == -1 else ""
    return shown if one.required else f"[{shown}]"


def _variable(one: Any) -> str:
    names = [one.envvar] if isinstance(one.envvar, str) else list(one.envvar or ())
    return f" ({', '.join(f'`{name}`' for name in names)})" if names else ""


def _text(text: str | None) -> str:
    return "\n".join(line.strip() for line in (text or "").strip().splitlines())


def _cell(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], page))
