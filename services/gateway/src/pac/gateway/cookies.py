"""The access tokens in a request's cookies, in every form that Supabase's libraries write. Nothing here is trusted yet.

`sb-<ref>-auth-token` holds the session, whole or in chunks `.0 .1 …`: `base64-` and base64url of its JSON; the JSON
itself, percent-encoded; or (older) a JSON array whose first element is the access token. The cookie is not signed and
anybody may write it: whatever else stands in it, a `user` above all, is not even looked at.
"""

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote

_NAME = re.compile(r"(sb-[^=\s]+-auth-token)(?:\.(0|[1-9][0-9]?))?")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_BASE64 = "base64-"
CANDIDATES_MAX = 4  # a developer's machine may hold the cookies of several projects


def session_tokens(headers: Iterable[str]) -> list[str]:
    """What may be an access token, of each session cookie of these `Cookie` headers; the unsuffixed one comes first."""
    whole, chunks = _cookies(headers)
    names = [*whole, *(name for name in chunks if name not in whole)]
    values = [value for name in names for value in (whole.get(name, ""), _joined(chunks.get(name, {})))]
    tokens = [_token_in(value) for value in values if value]
    return [token for token in tokens if token is not None][:CANDIDATES_MAX]


def looks_like_a_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def _cookies(headers: Iterable[str]) -> tuple[dict[str, str], dict[str, dict[int, str]]]:
    """Of one name the first counts: a browser sends the cookie of the longest path first."""
    whole: dict[str, str] = {}
    chunks: dict[str, dict[int, str]] = {}
    for name, value in _pairs(headers):
        if (match := _NAME.fullmatch(name)) is None:
            continue
        if match[2] is None:
            whole.setdefault(match[1], value)
        else:
            chunks.setdefault(match[1], {}).setdefault(int(match[2]), value)
    return whole, chunks


def _pairs(headers: Iterable[str]) -> Iterator[tuple[str, str]]:
    for header in headers:
        for pair in header.split(";"):
            name, _, value = pair.strip().partition("=")
            yield name, value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value


def _joined(chunks: Mapping[int, str]) -> str:
    """Up to the first gap: what comes behind it was left over by a longer session."""
    text = ""
    for number in range(len(chunks)):
        if number not in chunks:
            break
        text += chunks[number]
    return text


def _token_in(value: str) -> str | None:
    for text in (value, unquote(value, errors="replace")):
        if looks_like_a_token(text):
            return text
        if (session := _session_in(text)) is not None:
            return _access_token(session)
    return None


def _session_in(text: str) -> Any:
    try:
        if text.startswith(_BASE64):
            encoded = text[len(_BASE64) :].rstrip("=")
            return json.loads(base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True))
        return json.loads(text)
    except (ValueError, RecursionError):  # also bad base64 and bad UTF-8
        return None


def _access_token(session: Any) -> str | None:
    match session:
        case {"access_token": str(token)} | [str(token), *_] if looks_like_a_token(token):
            return token
        case _:
            return None
