"""What `--env` gives: the layer of the deployment request, from files and single variables."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pac.agentkit.environment import parse_dotenv
from pac.cli.local.errors import Expected

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Variable:
    name: str
    value: str = field(repr=False)


@dataclass(frozen=True)
class Given:
    """In the order they were given; a later one wins over an earlier one."""

    parts: tuple[Path | Variable, ...] = ()

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Given":
        """`KEY=VALUE`, or else the name of a file. What is neither may be a value alone: it is not repeated."""
        parts: list[Path | Variable] = []
        for number, text in enumerate(texts, 1):
            name, equals, value = text.partition("=")
            if equals and VARIABLE.fullmatch(name):
                parts.append(Variable(name, value))
            elif (path := Path(text).expanduser()).is_file():
                parts.append(path.absolute())
            else:
                what = f"--env number {number} cannot be used"
                raise Expected(what, "it is neither KEY=VALUE nor a file", "pac dev DIR --env KEY=VALUE --env FILE")
        return cls(tuple(parts))

    @property
    def files(self) -> tuple[Path, ...]:
        return tuple(part for part in self.parts if isinstance(part, Path))

    def values(self) -> dict[str, str]:
        """Read anew each time: files may change. OSError."""
        values: dict[str, str] = {}
        for part in self.parts:
            match part:
                case Variable(name, value):
                    values[name] = value
                case Path():
                    values.update(parse_dotenv(part.read_bytes()))
        return values
