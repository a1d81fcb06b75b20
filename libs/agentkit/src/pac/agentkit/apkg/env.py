"""A package's .env: must be there, is read, and only the names in it are ever told."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pac.agentkit.apkg.credentials import PRIVATE_KEY, secret_rule
from pac.agentkit.apkg.hygiene import ENV, hygiene_warnings
from pac.agentkit.apkg.manifest import ReadBytes
from pac.agentkit.apkg.model import Limits, Problem
from pac.agentkit.environment import parse_dotenv, unread_lines

ENV_MISSING = "Missing required .env file at project root"
ENV_HINT = "Create a `.env` beside agent.yaml, with placeholders or real values, and build the package again."
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,127}")
LINE_END = re.compile(r"\r\n|\n|\r")
KEY_BEGINS = re.compile(rf"[^#\"'=]*=\s*{PRIVATE_KEY}")
KEY_GOES_ON = re.compile(r"[A-Za-z0-9+/]+={0,2}|[A-Za-z-]+: .*|-----END .*|")

NOT_UTF8 = Problem("env_not_utf8", f"{ENV} is not UTF-8: some characters are replaced", ENV)
NOT_QUOTED = Problem(
    "env_not_quoted",
    f"{ENV} holds a key of several lines without quotes: an agent gets its first line only",
    ENV,
    "Put double quotes around a value of several lines.",
)
NAME_ODD = Problem(
    "env_name_odd",
    f"{ENV} has lines whose name is not one; they are not shown",
    ENV,
    "Write each line as NAME=value, the name of letters, digits and _.",
)


@dataclass(frozen=True)
class FoundEnv:
    names: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def find_env(names: frozenset[str], read: ReadBytes, limits: Limits) -> FoundEnv:
    """What the .env at the root says. Missing or unreadable is a fault, what is written in it at most a warning."""
    if ENV not in names:
        return _refused("env_missing", ENV_MISSING, ENV_HINT)
    data = read(ENV)
    if data is None or len(data) > limits.env_bytes:
        return _refused("env_unreadable", f"{ENV} is damaged or larger than {limits.env_bytes} bytes", ENV_HINT)
    text = data.decode("utf-8-sig", "replace")
    kept = _without_unquoted_keys(text)
    values = parse_dotenv(kept.encode())
    if any("\0" in part for pair in values.items() for part in pair):
        what = f"{ENV} holds a NUL character, which no environment can"
        return _refused("env_unusable", what, "Write .env as plain UTF-8 text.")
    unread = _unread_lines(kept)
    shown = {name: value for name, value in values.items() if NAME.fullmatch(name) and not secret_rule("", name)}
    found = {NOT_UTF8: "\ufffd" in text, NOT_QUOTED: kept != text, NAME_ODD: len(shown) != len(values)}
    forms = tuple(warning for warning, is_so in found.items() if is_so)
    told = (*hygiene_warnings({**_pairs_in(unread.values()), **shown}), *forms, *map(_unread, unread))
    return FoundEnv(tuple(sorted(shown)), (), told)


def _unread_lines(text: str) -> dict[int, str]:
    numbers = frozenset(unread_lines(text.encode()))
    return {number: line.strip() for number, line in enumerate(LINE_END.split(text), 1) if number in numbers}


def _pairs_in(lines: Iterable[str]) -> dict[str, str]:
    """As far as they look like names and values: a secret in a line that cannot be read is packed all the same."""
    pairs = (line.removeprefix("export ").partition("=") for line in lines)
    return {name.strip(): value.strip(" \"'") for name, _, value in pairs if NAME.fullmatch(name.strip())}


def _unread(number: int) -> Problem:
    return Problem("env_line_unread", f"{ENV}: line {number} gives no variable", ENV, "Write it as KEY=VALUE.")


def environment_warnings(values: Mapping[str, str], source: str) -> tuple[Problem, ...]:
    """The same of a manifest's own environment, which is packed in the open as well."""
    return tuple(hygiene_warnings({name: value for name, value in values.items() if NAME.fullmatch(name)}, source))


def _refused(code: str, text: str, hint: str) -> FoundEnv:
    return FoundEnv(problems=(Problem(code, text, ENV, hint),))


def _without_unquoted_keys(text: str) -> str:
    """A key pasted over several lines without quotes: all but its first line would be read, and shown, as names."""
    lines, is_key = [], False
    for line in text.splitlines(keepends=True):
        is_key = (is_key and KEY_GOES_ON.fullmatch(line.strip()) is not None) or KEY_BEGINS.match(line) is not None
        lines.append("#\n" if is_key and not KEY_BEGINS.match(line) else line)
    return "".join(lines)
