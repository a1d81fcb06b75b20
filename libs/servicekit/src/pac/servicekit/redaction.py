"""What never reaches a log line: values under telling names, and secrets recognised by their form."""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

REDACTED = "[redacted]"
DEPTH = 8
_TELLING = re.compile(
    r"secret|passw|pwd|token|authorization|cookie|credential|pepper|signature|session"
    r"|api_?key|admin_?key|private_?key|signing_?key|sealing_?key|encryption_?key|identity_?key|fingerprint_?key"
    r"|access_?key|pac-identity|database_?url|dsn",
    re.IGNORECASE,
)
# Names about a secret, not the secret itself.
_HARMLESS = re.compile(r"_(ids?|names?|count|version|at|seconds|bytes|policy|kind|type|status|prefix|last4)$")
_VALUES_INSIDE = frozenset({"env", "environment", "environ", "secrets", "headers", "cookies"})
_FORMS = (
    (re.compile(r"pac_[0-9A-Za-z]{12,}"), f"pac_{REDACTED}"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[^\s,;\"']+"), rf"\1 {REDACTED}"),
    (re.compile(r"(?i)\b(authorization|cookie|set-cookie)(['\"]?\s*[:=]\s*['\"]?)[^'\"\r\n]+"), rf"\1\2{REDACTED}"),
    # A signed address: nothing of its query stays, whatever the order of its parameters.
    (re.compile(r"(?i)\?[^\s\"'<>]*x-amz-[^\s\"'<>]*"), f"?{REDACTED}"),
    (re.compile(r"(?i)\b(x-amz-(?:signature|credential|security-token))=[^&\s\"'<>]+"), rf"\1={REDACTED}"),
    (re.compile(r"\b([a-z][a-z0-9+.\-]*://[^\s:/@\"']*):[^\s/\"']*@", re.IGNORECASE), rf"\1:{REDACTED}@"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]*"), REDACTED),
    (re.compile(r"(?i)\b(password|passwd|pwd|secret)=[^\s&;,\"']+"), rf"\1={REDACTED}"),
    # What Postgres adds to a violated constraint: a whole row, whatever is in it.
    (re.compile(r"(Failing row contains )\([\s\S]*?(\)\.$|\Z)", re.MULTILINE), rf"\1({REDACTED})."),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)"), REDACTED),
)


def scrub(text: str) -> str:
    """Text without the secrets that can be told by their form."""
    for form, replacement in _FORMS:
        text = form.sub(replacement, text)
    return text


def _is_telling(name: str) -> bool:
    return bool(_TELLING.search(name)) and not _HARMLESS.search(name)


def redact(value: Any, depth: int = DEPTH) -> Any:  # noqa: PLR0911 - one line per kind of value
    """`value` as plain JSON data without secrets. Unknown objects become their scrubbed text."""
    match value:
        case None | bool() | int() | float():
            return value
        case Enum():
            return redact(value.value, depth)
        case str():
            return scrub(value)
        case datetime() | date():
            return value.isoformat()
        case UUID() | PurePath():
            return scrub(str(value))
        case bytes() | bytearray() | memoryview():
            return f"[{len(value)} bytes]"
        case _ if depth <= 0:
            return "[…]"
        case Mapping():
            return {scrub(str(name)): _redact_field(str(name), item, depth - 1) for name, item in value.items()}
        case Sequence() | AbstractSet():
            return [redact(item, depth - 1) for item in value]
        case _:
            return scrub(str(value))


def _hidden(value: Any, depth: int) -> Any:
    """The shape stays, what is in it goes."""
    match value:
        case None | bool():
            return value
        case Mapping() if depth > 0:
            return {scrub(str(name)): _hidden(item, depth - 1) for name, item in value.items()}
        case _:
            return REDACTED


def _redact_field(name: str, value: Any, depth: int) -> Any:
    if name.lower() in _VALUES_INSIDE:
        return _hidden(value, depth)
    if _is_telling(name) and not isinstance(value, (bool, int, float, type(None))):
        return REDACTED
    return redact(value, depth)


def redact_fields(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _redact_field(name, value, DEPTH) for name, value in fields.items()}
