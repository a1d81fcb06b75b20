"""What the query and the headers of a request ask for; whatever is not understood is a 400 that names the field."""

import re
from datetime import datetime
from uuid import UUID

from aiohttp import hdrs, web

from pac.contracts.errors import ErrorCode, Refused

VERSION_MAX_DIGITS = 9
EVENT_STREAM = "text/event-stream"
LAST_EVENT_ID = "Last-Event-ID"
STATUSES = ("queued", "processing", "completed", "failed")
_WHOLE = re.compile(rf"[0-9]{{1,{VERSION_MAX_DIGITS}}}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def bad(name: str, what: str) -> Refused:
    return Refused(ErrorCode.INVALID_REQUEST, details=[f"{name}: {what}"])


def app_in(request: web.Request) -> UUID | None:
    """`?app=`; one that is unknown or another account's has no deployments to show."""
    text = request.query.get("app")
    if text is None:
        return None
    if not _UUID.fullmatch(text):
        raise bad("app", "the id of an agent app")
    return UUID(text)


def status_in(request: web.Request) -> str | None:
    text = request.query.get("status")
    if text is not None and text not in STATUSES:
        raise bad("status", f"one of {', '.join(STATUSES)}")
    return text


def as_of_in(request: web.Request) -> int | datetime | None:
    """`?as_of=`: a version from 1, or a time with its zone."""
    text = request.query.get("as_of")
    if text is None:
        return None
    if _WHOLE.fullmatch(text):
        if int(text) == 0:
            raise bad("as_of", "versions begin with 1")
        return int(text)
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # what a plus sign becomes when it is not encoded
    except ValueError:
        raise bad("as_of", "a version from 1, or a time like 2024-01-01T00:00:00Z") from None
    if moment.tzinfo is None:
        raise bad("as_of", "a time needs its zone, like 2024-01-01T00:00:00Z")
    return moment


def after_in(request: web.Request) -> int:
    """The last version seen: `Last-Event-ID`, which a browser sends when it returns, before `?after=`; else 0."""
    for name, text in ((LAST_EVENT_ID, request.headers.get(LAST_EVENT_ID)), ("after", request.query.get("after"))):
        if text:
            if not _WHOLE.fullmatch(text):
                raise bad(name, "the version of an event")
            return int(text)
    return 0


def wants_stream(request: web.Request) -> bool:
    """Does Accept name the event stream? `*/*` gets a page."""
    for choice in request.headers.get(hdrs.ACCEPT, "").split(","):
        media, *parameters = (part.strip().lower() for part in choice.split(";"))
        if media == EVENT_STREAM:
            return not any(re.fullmatch(r"q\s*=\s*0(\.0*)?", parameter) for parameter in parameters)
    return False


def has_already(request: web.Request, version: int) -> bool:
    """Does If-None-Match name this version?"""
    named = [tag.strip().removeprefix("W/") for tag in request.headers.get(hdrs.IF_NONE_MATCH, "").split(",")]
    return f'"{version}"' in named or named == ["*"]
