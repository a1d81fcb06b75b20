"""What a handler takes from a request: ids, bodies, the caller, pages; each refused in the one form of errors."""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, UUID, uuid5

from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, ValidationError

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.identity import Caller
from pac.eventlog.types import Cause

M = TypeVar("M", bound=BaseModel)
CALLER = web.RequestKey("caller", Caller)
REQUEST_ID = web.RequestKey("request_id", str)
TRACEPARENT = web.RequestKey("traceparent", str)  # not there where nobody traces
ANSWER_HEADERS = web.RequestKey("answer_headers", dict[str, str])  # of whatever is answered, errors too
BODY = web.RequestKey("body", bytes)
CONTINUED = web.RequestKey("continued", bool)
BODY_LIMITS = web.AppKey("body_limits", tuple[int, float])
STOPPING = web.AppKey("stopping", asyncio.Event)
CURSOR_MAX_CHARACTERS = 1024
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)


def caller_of(request: web.Request) -> Caller:
    """Who the gateway says it is. Refused (401) on a route that took no identity."""
    caller: Caller | None = request.get(CALLER)
    if caller is None:
        raise Refused(ErrorCode.UNAUTHENTICATED)
    return caller


def request_id_of(request: web.Request) -> str:
    request_id: str = request[REQUEST_ID]
    return request_id


def cause_of(request: web.Request) -> Cause:
    """Who and which request, as it is recorded with every event. The correlation is the request's id, as a UUID."""
    request_id = request[REQUEST_ID]
    correlation = UUID(request_id) if _UUID.fullmatch(request_id) else uuid5(NAMESPACE_URL, f"pac:{request_id}")
    return Cause(caller_of(request).actor, correlation, None, traceparent_of(request))


def traceparent_of(request: web.Request) -> str | None:
    """What the request's effects name as their parent (W3C Trace Context): our span of it, or the caller's own."""
    ours: str | None = request.get(TRACEPARENT)
    return ours or traceparent_in(request)


def traceparent_in(request: web.Request) -> str | None:
    """The caller's; None if it is not of the standard's form."""
    told = request.headers.get("traceparent", "")
    return told if _TRACEPARENT.fullmatch(told) else None


def stopping_of(request: web.Request) -> asyncio.Event:
    """Set when the process was asked to end: whoever waits answers now."""
    return request.app[STOPPING]


def uuid_in(request: web.Request, name: str) -> UUID:
    """The id in the path; a malformed one is as unknown as any other (404)."""
    text = request.match_info[name]
    if not _UUID.fullmatch(text):
        raise Refused(ErrorCode.NOT_FOUND)
    return UUID(text)


def account_and_app(request: web.Request) -> tuple[UUID, UUID]:
    """The gateway has looked whether the app of the path is the account's; without its word there is no app."""
    caller, app_id = caller_of(request), uuid_in(request, "app_id")
    if caller.account_id is None or caller.app is None or caller.app.id != app_id:
        raise Refused(ErrorCode.NOT_FOUND, "Agent app not found")
    return caller.account_id, app_id


async def let_body_come(request: web.Request) -> None:
    """Answers `Expect: 100-continue`, once; until then a client that sent it keeps its body."""
    if request.get(CONTINUED) or request.headers.get(hdrs.EXPECT, "").lower() != "100-continue":
        return
    request[CONTINUED] = True
    if request.version >= (1, 1) and request.transport is not None and not request.transport.is_closing():
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def body_bytes(request: web.Request) -> bytes:
    """The whole body, up to the application's limits of size and time; the same again to whoever asks again."""
    kept: bytes | None = request.get(BODY)
    if kept is not None:
        return kept
    max_bytes, timeout_seconds = request.app[BODY_LIMITS]
    if request.content_length is not None and request.content_length > max_bytes:
        raise Refused(ErrorCode.TOO_LARGE, "The request body is too large", max_size_bytes=max_bytes)
    await let_body_come(request)
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_seconds):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > max_bytes:
                    raise Refused(ErrorCode.TOO_LARGE, "The request body is too large", max_size_bytes=max_bytes)
    except TimeoutError:
        raise Refused(ErrorCode.TOO_SLOW, "The request body came too slowly") from None
    request[BODY] = kept = bytes(body)
    return kept


def details_of(invalid: ValidationError) -> list[str]:
    """One line per field: where and what, never the value that came."""
    lines = []
    for error in invalid.errors(include_input=False, include_url=False, include_context=False):
        place = ".".join(str(part) for part in error["loc"])
        message = str(error["msg"]).removeprefix("Value error, ")
        if error["type"] == "union_tag_invalid":
            message = "is of no known kind"  # the library's own words quote the input
        elif error["type"] == "extra_forbidden":
            message = "Unknown field"
        lines.append(f"{place}: {message}" if place else message)
    return lines


async def body_in(request: web.Request, model: type[M]) -> M:
    """The JSON body as `model`, strictly: 415 for another type, 413 over the limit, 400 with a line per field."""
    if request.content_type not in {"application/json", "application/octet-stream"}:  # the second: no header sent
        raise Refused(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Send the body as application/json")
    if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
        raise Refused(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Send the body without Content-Encoding")
    body = await body_bytes(request)
    try:
        return model.model_validate_json(body or b"{}", strict=True)
    except ValidationError as invalid:
        raise Refused(ErrorCode.INVALID_REQUEST, details=details_of(invalid)) from None


def flag_in(request: web.Request, name: str) -> bool:
    """`?name=true`; absent is false. 400 for anything else than true, false, 1 and 0."""
    match request.query.get(name, "false").lower():
        case "true" | "1":
            return True
        case "false" | "0":
            return False
        case _:
            raise Refused(ErrorCode.INVALID_REQUEST, details=[f"{name}: true or false"])


class Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


async def nothing_in(request: web.Request) -> None:
    """For a call without fields: no body, or an empty object. Refused like any other body that is not understood."""
    if request.can_read_body or request.get(BODY):  # the second: it was read before, to be compared
        await body_in(request, Nothing)


# ---- pages -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Page:
    """`after`: the values of the last row seen, as `cursor_of` was given them; empty for the first page."""

    limit: int
    after: tuple[str | int, ...] = ()


def cursor_of(*values: str | int) -> str:
    """An opaque place in a list; goes out as `next_cursor`."""
    text = json.dumps(values, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def _bad(parameter: str, what: str) -> Refused:
    return Refused(ErrorCode.INVALID_REQUEST, details=[f"{parameter}: {what}"])


def page_in(
    request: web.Request, types: Sequence[type[str] | type[int]], *, default: int = 50, maximum: int = 200
) -> Page:
    """`?limit=` and `?cursor=` of a list whose cursors hold values of `types`. 400 for anything else."""
    text = request.query.get("limit")
    if text is not None and not re.fullmatch(r"[0-9]{1,6}", text):
        raise _bad("limit", f"a whole number from 1 to {maximum}")
    limit = int(text) if text is not None else default
    if not 1 <= limit <= maximum:
        raise _bad("limit", f"a whole number from 1 to {maximum}")
    cursor = request.query.get("cursor")
    if not cursor:
        return Page(limit)
    return Page(limit, _cursor_values(cursor, types))


def _cursor_values(cursor: str, types: Sequence[type[str] | type[int]]) -> tuple[str | int, ...]:
    values: Any = None
    if len(cursor) <= CURSOR_MAX_CHARACTERS:
        try:
            values = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        except (binascii.Error, ValueError, RecursionError):
            values = None
    if not isinstance(values, list) or [type(value) for value in values] != list(types):
        raise _bad("cursor", "not one that this list has given out")
    return tuple(values)
