"""The environment of an agent: how .env is read, and the one rule of precedence for everything that starts one."""

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from dotenv import dotenv_values

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
    """The four layers of one agent. Not shown in full anywhere: values may be secrets."""

    request: Mapping[str, str]
    provider: Mapping[str, str]
    dotenv: Mapping[str, str]
    base: Mapping[str, str]

    def by_strength(self) -> tuple[tuple[Layer, Mapping[str, str]], ...]:
        return (
            (Layer.REQUEST, self.request),
            (Layer.PROVIDER, self.provider),
            (Layer.DOTENV, self.dotenv),
            (Layer.BASE, self.base),
        )


def merge(layers: Layers) -> dict[str, str]:
    """Deployment request > secrets provider > .env of the package > base environment."""
    merged: dict[str, str] = {}
    for _, values in reversed(layers.by_strength()):
        merged.update(values)
    for key, value in merged.items():
        if not key or "=" in key or "\0" in key:
            raise BadEnvironment("The environment holds a name that is empty or has '=' or NUL in it")
        if "\0" in value:
            raise BadEnvironment(f"The value of {key} holds a NUL character")
    return merged


def explain(layers: Layers) -> tuple[Explanation, ...]:
    """Per key, sorted: who wins and who loses. Names only."""
    keys = sorted({key for _, values in layers.by_strength() for key in values})
    return tuple(_explained(key, layers) for key in keys)


def _explained(key: str, layers: Layers) -> Explanation:
    wins, *loses = [layer for layer, values in layers.by_strength() if key in values]
    return Explanation(key, wins, tuple(loses))


def parse_dotenv(data: bytes) -> dict[str, str]:
    """The values of a .env file. No interpolation; a name without `=` is left out; bytes not UTF-8 are replaced."""
    text = data.decode("utf-8-sig", "replace")
    parsed = dotenv_values(stream=io.StringIO(text), interpolate=False)
    return {key: value for key, value in parsed.items() if key and value is not None}


def base_environment(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The allowlisted part of a process's own environment."""
    return allowed(environ, (*BASE_NAMES, *names))


def allowed(environ: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    """The variables with one of these names; a name may end in `*`."""
    wanted = tuple(names)
    exact = {name for name in wanted if not name.endswith("*")}
    prefixes = tuple(name[:-1] for name in wanted if name.endswith("*"))
    return {key: value for key, value in environ.items() if key in exact or key.startswith(prefixes)}
