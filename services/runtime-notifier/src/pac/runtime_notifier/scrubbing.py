"""What a runtime says of a failure, made fit for an event: one line, no signed address, no value of ours. Pure."""

import re
from collections.abc import Iterable

from pac.contracts.base import one_line

HIDDEN = "***"
SHORTEST_HIDDEN = 4  # shorter values would blot out ordinary words and tell nothing
_QUERY = re.compile(r"(?P<before>[^\s\"'<>?]+)\?[^\s\"'<>]*")
_SIGNING = re.compile(
    r"(?i)\b(?:x-(?:amz|goog)-[a-z-]+|awsaccesskeyid|signature|sig|token|expires)(?:=|%3d)[^\s\"'<>&]*"
)
_USER = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)[^\s/@\"'<>]+@", re.IGNORECASE)
_BEARER = re.compile(r"(?i)\b(?P<word>bearer)\s+[^\s\"',;]+")


def without(text: str, hidden: Iterable[str]) -> str:
    """`text` without each of these values, and without each line of those that have several."""
    parts = {part for value in hidden for part in (value, *value.splitlines()) if len(part) >= SHORTEST_HIDDEN}
    for part in sorted(parts, key=len, reverse=True):
        text = text.replace(part, HIDDEN)
    return text


def scrubbed(text: str, hidden: Iterable[str] = ()) -> str:
    """`text` as one line, without queries of addresses, credentials, and each of the `hidden` values."""
    text = without(text, hidden)
    # Joined before it is searched: a line break inside an address would hide its second half from the pattern.
    joined = re.sub(r"(?<=[?&=%\w-])[\r\n]+(?=[&=%\w-])", "", text) if "?" in text else text
    line = _QUERY.sub(lambda found: found["before"], one_line(joined))
    line = _SIGNING.sub(HIDDEN, line)
    line = _USER.sub(lambda found: found["scheme"], line)
    return _BEARER.sub(lambda found: f"{found['word']} {HIDDEN}", line)
