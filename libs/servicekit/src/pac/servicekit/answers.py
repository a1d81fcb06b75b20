"""Answers: models as JSON, and errors, whose status, sentence and hint come from the contract's one table."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aiohttp import hdrs, web
from pydantic import BaseModel
from pydantic_core import to_jsonable_python

from pac.contracts.error_bodies import problem_type
from pac.contracts.errors import ERRORS, ErrorCode, Refused
from pac.contracts.identity import REQUEST_ID_HEADER

PROBLEM_JSON = "application/problem+json"
REASON_MAX_CHARACTERS = 200
WHEN_TO_REPEAT = frozenset({429, 503})  # always said with these
CODE_OF_STATUS = {
    400: ErrorCode.INVALID_REQUEST,
    401: ErrorCode.UNAUTHENTICATED,
    403: ErrorCode.FORBIDDEN,
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    408: ErrorCode.TOO_SLOW,
    411: ErrorCode.INVALID_REQUEST,
    412: ErrorCode.CONFLICT,
    413: ErrorCode.TOO_LARGE,
    415: ErrorCode.UNSUPPORTED_MEDIA_TYPE,
    417: ErrorCode.INVALID_REQUEST,
    429: ErrorCode.THROTTLED,
    431: ErrorCode.HEADERS_TOO_LARGE,
    503: ErrorCode.UNAVAILABLE,
}


@dataclass(frozen=True)
class Failure:
    """An error on its way out. `fields` stand in the body as they are."""

    code: ErrorCode
    sentence: str
    retry_after_seconds: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    close: bool = False

    @classmethod
    def of(cls, refused: Refused) -> "Failure":
        return cls(refused.code, refused.sentence, refused.retry_after_seconds, refused.fields)

    @classmethod
    def plain(cls, code: ErrorCode, *, retry_after_seconds: int | None = None, close: bool = False) -> "Failure":
        return cls(code, ERRORS[code].sentence, retry_after_seconds, close=close)

    @classmethod
    def of_status(cls, status: int, headers: Mapping[str, str] | None = None, *, close: bool = False) -> "Failure":
        """For what aiohttp itself refuses."""
        code = CODE_OF_STATUS.get(status, ErrorCode.INVALID_REQUEST if status < 500 else ErrorCode.INTERNAL)  # noqa: PLR2004
        sentence = "The request body is too large" if code is ErrorCode.TOO_LARGE else ERRORS[code].sentence
        fields = {"details": ["The request could not be read"]} if code is ErrorCode.INVALID_REQUEST else {}
        return cls(code, sentence, fields=fields, headers=headers or {}, close=close)

    @property
    def status(self) -> int:
        return ERRORS[self.code].status


def reason_phrase(sentence: str) -> str:
    """A sentence as a status line can carry it: one line, latin-1, not too long."""
    line = " ".join(sentence.split())
    line = "".join(character if character.isprintable() else " " for character in line)
    return line.encode("latin-1", "replace").decode("latin-1")[:REASON_MAX_CHARACTERS].strip() or "Error"


def wants_problem(accept: str) -> bool:
    """Does this Accept header ask for RFC 9457? Only by name: `*/*` gets the specification's form."""
    for choice in accept.split(","):
        media, *parameters = (part.strip().lower() for part in choice.split(";"))
        if media == PROBLEM_JSON:
            return not any(p.replace(" ", "") in {"q=0", "q=0.0", "q=0.00", "q=0.000"} for p in parameters)
    return False


def error_body(failure: Failure, request_id: str, *, problem: bool = False, path: str = "") -> dict[str, Any]:
    kind = ERRORS[failure.code]
    body: dict[str, Any] = {
        **to_jsonable_python(dict(failure.fields), fallback=str),
        "error": failure.sentence,
        "code": failure.code.value,
        "request_id": request_id,
    }
    if kind.hint and "hint" not in failure.fields:
        body["hint"] = kind.hint
    # The sentence first: people read the beginning.
    ordered = {name: body[name] for name in ("error", "code", "request_id")} | body
    if not problem:
        return ordered
    return {
        "type": problem_type(failure.code),
        "title": kind.sentence,
        "status": kind.status,
        "detail": failure.sentence,
        "instance": path,
    } | ordered


def error_response(failure: Failure, *, request_id: str, accept: str = "", path: str = "") -> web.Response:
    problem = wants_problem(accept)
    body = error_body(failure, request_id, problem=problem, path=path)
    response = web.Response(
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
        status=failure.status,
        reason=reason_phrase(failure.sentence),
        content_type=PROBLEM_JSON if problem else "application/json",
        headers={**failure.headers, REQUEST_ID_HEADER: request_id, hdrs.CACHE_CONTROL: "no-store"},
    )
    retry_after = failure.retry_after_seconds
    if retry_after is None and failure.status in WHEN_TO_REPEAT:
        retry_after = 1
    if retry_after is not None:
        response.headers[hdrs.RETRY_AFTER] = str(max(0, retry_after))
    if failure.status == web.HTTPUnauthorized.status_code:
        response.headers[hdrs.WWW_AUTHENTICATE] = 'Bearer realm="pac"'
    if failure.close:
        response.force_close()
    return response


def reply(
    model: BaseModel | Mapping[str, Any],
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    version: int | None = None,
) -> web.Response:
    """`model` as JSON; `version` of a stream becomes the ETag."""
    if isinstance(model, BaseModel):
        body = model.model_dump_json(by_alias=True).encode()
    else:
        body = json.dumps(to_jsonable_python(model), ensure_ascii=False, separators=(",", ":")).encode()
    sent = {hdrs.CACHE_CONTROL: "no-store", **(headers or {})}
    if version is not None:
        sent[hdrs.ETAG] = f'"{version}"'
    return web.Response(body=body, status=status, content_type="application/json", headers=sent)
