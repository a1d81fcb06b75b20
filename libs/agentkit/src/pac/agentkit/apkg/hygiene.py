"""Warnings about a package's .env: values that look like secrets, paths that tie it to one machine. Names only."""

import re
from collections.abc import Iterator, Mapping

from pac.agentkit.apkg.model import Problem

ENV = ".env"
PRIVATE_KEY = "-----BEGIN"
SECRET_KEYS = frozenset({"AWS_SECRET_ACCESS_KEY"})
SECRET_PREFIXES = {"sk-": "sk-", "pac_": "pac_"}
MODEL_WORDS = (
    r"your|my|change|replace|insert|enter|put|add|set|fill|todo|placeholder|example|dummy|fake|sample|none|null"
)
PLACEHOLDER = re.compile(
    rf"(?:sk-|pac_)?(?:(?:{MODEL_WORDS})(?:[-_ .].*|me)?|<.*>|\$\{{.*\}}|\{{\{{.*\}}\}}|\[.*\]|(.)\1*|\.{{2,}}.*"
    r"|.*[-_ ](?:here|goes-here)|.*\.\.\.|x{3,}.*|test)?",
    re.IGNORECASE | re.DOTALL,
)
ABSOLUTE = re.compile(r"/[^/\s].*|[A-Za-z]:[\\/].*|\\\\.+", re.DOTALL)
TEMPORARY = re.compile(r"/tmp(?:/.*)?", re.DOTALL)  # noqa: S108 - the specification names it
KEY_HINT = "Use a placeholder in .env and give the value at deploy time or as a stored secret."


def hygiene_warnings(values: Mapping[str, str]) -> Iterator[Problem]:
    """One warning per key and rule; the value is looked at and never repeated."""
    for key, value in values.items():
        if rule := secret_rule(key, value):
            text = f"{ENV}: {key} looks like a secret (rule {rule})"
            yield Problem("secret_like_value", text, ENV, KEY_HINT)
        if is_absolute_path(value):
            text = f"{ENV}: {key} is an absolute path, which ties the package to one machine"
            yield Problem("absolute_path", text, ENV, "Use a relative path, or one below /tmp.")


def secret_rule(key: str, value: str) -> str | None:
    """Which rule says that this is a secret; None for harmless values and placeholders."""
    stripped = value.strip()
    if PRIVATE_KEY in stripped:
        return PRIVATE_KEY
    if is_placeholder(stripped):
        return None
    if key.upper() in SECRET_KEYS:
        return key.upper()
    return next((rule for prefix, rule in SECRET_PREFIXES.items() if stripped.startswith(prefix)), None)


def is_placeholder(value: str) -> bool:
    return PLACEHOLDER.fullmatch(value) is not None


def is_absolute_path(value: str) -> bool:
    stripped = value.strip()
    return bool(ABSOLUTE.fullmatch(stripped)) and not TEMPORARY.fullmatch(stripped)
