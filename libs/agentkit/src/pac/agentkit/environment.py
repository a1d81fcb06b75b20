"""The environment of an agent: how .env is read, and the one rule of precedence for everything that starts one."""

import io
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dotenv import dotenv_values
from dotenv.parser import parse_stream

logging.getLogger("dotenv").setLevel(logging.ERROR)  # lines that give no variable are told by `unread_lines`
BASE_NAMES = ("PATH", "HOME", "LANG", "TZ", "TMPDIR")


class Layer(StrEnum):
    """Where a value can come from, the strongest first."""

    REQUEST = "request"
    PROVIDER = "provider"
    DOTENV = ".env"
    BASE = "base"


class BadEnvironment(ValueError):  # noqa: N818 - it says what is bad, as a name
    """A name or value no process can be given; the text holds the name, never the value."""


@dataclass(frozen=True)
class Explanation:
    """Which layer a key's value comes from, and which others had one (the strongest first)."""

    key: str
    wins: Layer
    loses: tuple[Layer, ...]


@dataclass(frozen=True, repr=False)
class Layers:
    """The four layers of one agent; whoever knows only some of them leaves the others empty.

    Not shown in full anywhere: values may be secrets.
    """

    request: Mapping[str, str] = field(default_factory=dict)
    provider: Mapping[str, str] = field(default_factory=dict)
    dotenv: Mapping[str, str] = field(default_factory=dict)
    base: Mapping[str, str] = field(default_factory=dict)

    def by_strength(self) -> tuple[tuple[Layer, Mapping[str, str]], ...]:
        return (
            (Layer.REQUEST, self.request),
            (Layer.PROVIDER, self.provider),
            (Layer.DOTENV, self.dotenv),
            (Layer.BASE, self.base),
        )


def merge(layers: Layers) -> dict[str, str]:
    """Deployment request > secrets provider > .env of the package > base environment. BadEnvironment."""
    merged: dict[str, str] = {}
    for layer, values in reversed(layers.by_strength()):
        merged.update(values)
        if not all(_is_name(key) for key in values):
            raise BadEnvironment(f"The layer {layer} holds a name that no variable can have")
    for key, value in merged.items():
        if not _is_text(value):
            layer = _explained(key, layers).wins
            raise BadEnvironment(f"The value of {key} (layer {layer}) holds a character that no variable can hold")
    return merged


def _is_name(key: str) -> bool:
    return bool(key) and "=" not in key and _is_text(key)


def _is_text(value: str) -> bool:
    try:
        return b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:  # half of a surrogate pair, as JSON can write it
        return False


def explain(layers: Layers) -> tuple[Explanation, ...]:
    """Per key, sorted: who wins and who loses. Names only."""
    keys = sorted({key for _, values in layers.by_strength() for key in values})
    return tuple(_explained(key, layers) for key in keys)


def _explained(key: str, layers: Layers) -> Explanation:
    wins, *loses = [layer for layer, values in layers.by_strength() if key in values]
    return Explanation(key, wins, tuple(loses))


def parse_dotenv(data: bytes) -> dict[str, str]:
    """The values of a .env file. No interpolation; a name without `=` is left out; bytes not UTF-8 are replaced."""
    parsed = dotenv_values(stream=_text_of(data), interpolate=False)
    return {key: value for key, value in parsed.items() if key and value is not None}


def unread_lines(data: bytes) -> tuple[int, ...]:
    """Which lines of a .env file (the first is 1) are no comment and yet give no variable."""
    bindings = (one for one in parse_stream(_text_of(data)) if one.error or (one.key and one.value is None))
    originals = [binding.original for binding in bindings]
    return tuple(one.line + _blank_lines_before(one.string) for one in originals)


def _text_of(data: bytes) -> io.StringIO:
    return io.StringIO(data.decode("utf-8-sig", "replace"))


def _blank_lines_before(text: str) -> int:
    return text[: len(text) - len(text.lstrip())].count("\n")


def base_environment(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The allowlisted part of a process's own environment."""
    return allowed(environ, (*BASE_NAMES, *names))


def allowed(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The variables with one of these names; a name may end in `*`."""
    wanted = tuple(names)
    exact = {name for name in wanted if not name.endswith("*")}
    prefixes = tuple(name[:-1] for name in wanted if name.endswith("*"))
    return {key: value for key, value in environ.items() if key in exact or key.startswith(prefixes)}
