"""What `--help` shows: everything that was written for it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from pac.cli.application import build

APPLICATION = build()


def commands(command: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, *path, name)


ALL = dict(commands(typer.main.get_command(APPLICATION)))


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_no_word_of_a_help_gets_lost(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    """Square brackets do: the help is read as markup."""
    monkeypatch.setenv("COLUMNS", "240")
    shown = " ".join(re.split(r"[\s│]+", CliRunner().invoke(APPLICATION, [*path, "--help"]).output))
    for parameter in ALL[path].params:
        assert " ".join((getattr(parameter, "help", None) or "").split()) in shown, parameter.name
