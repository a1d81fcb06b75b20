import json
from typing import Any

import pytest
from hypothesis import given, strategies
from pydantic import BaseModel

from pac.contracts.errors import ERRORS, ErrorCode, Refused
from pac.servicekit.answers import Failure, error_response, reason_phrase, reply, wants_problem


def answered(failure: Failure, **how: Any) -> tuple[Any, dict[str, Any]]:
    response = error_response(failure, request_id="r-1", **how)
    assert isinstance(response.body, bytes)
    return response, json.loads(response.body)


@pytest.mark.parametrize("code", list(ErrorCode))
def test_every_code_has_its_status_sentence_and_hint(code: ErrorCode) -> None:
    response, body = answered(Failure.of(Refused(code)))
    kind = ERRORS[code]
    assert response.status == kind.status
    assert response.reason == kind.sentence
    assert response.content_type == "application/json"
    expected = {"error": kind.sentence, "code": code.value, "request_id": "r-1"}
    assert body == expected | ({"hint": kind.hint} if kind.hint else {})


def test_fields_stand_beside_the_error_and_cannot_replace_it() -> None:
    refused = Refused(ErrorCode.INSUFFICIENT_CREDITS, required=7, available=3, request_id="none", error="none")
    _, body = answered(Failure.of(refused))
    assert (body["required"], body["available"]) == (7, 3)
    assert (body["request_id"], body["error"]) == ("r-1", "Insufficient credits")


def test_rfc_9457_when_asked_for_by_name_with_the_same_members() -> None:
    failure = Failure.of(Refused(ErrorCode.INVALID_PACKAGE, details=["Missing"]))
    response, body = answered(failure, accept="application/problem+json, */*;q=0.1", path="/api/x")
    assert response.content_type == "application/problem+json"
    _, plain = answered(failure)
    assert body == plain | {
        "type": "urn:pac:error:invalid_package",
        "title": "Package validation failed",
        "status": 400,
        "detail": "Package validation failed",
        "instance": "/api/x",
    }


@pytest.mark.parametrize("accept", ["", "*/*", "application/*", "application/json", "application/problem+json;q=0"])
def test_anybody_else_gets_the_form_of_the_specification(accept: str) -> None:
    assert not wants_problem(accept)


def test_retry_after_is_whole_seconds_and_always_there_with_503() -> None:
    assert answered(Failure.of(Refused(ErrorCode.THROTTLED, retry_after_seconds=7)))[0].headers["Retry-After"] == "7"
    assert answered(Failure.of(Refused(ErrorCode.UNAVAILABLE)))[0].headers["Retry-After"] == "1"
    assert "Retry-After" not in answered(Failure.of(Refused(ErrorCode.NOT_FOUND)))[0].headers


@given(strategies.text(max_size=400))
def test_any_sentence_becomes_a_status_line(sentence: str) -> None:
    reason = reason_phrase(sentence)
    assert reason
    assert len(reason) <= 200
    assert "\n" not in reason
    assert "\r" not in reason
    assert reason.encode("latin-1").decode("latin-1").isprintable()
    assert answered(Failure.of(Refused(ErrorCode.CONFLICT, sentence or None)))[0].reason == reason_phrase(
        sentence or ERRORS[ErrorCode.CONFLICT].sentence
    )


class Shown(BaseModel):
    name: str


def test_a_version_becomes_the_etag() -> None:
    response = reply(Shown(name="ü"), version=3, status=202)
    assert (response.status, response.headers["ETag"], response.body) == (202, '"3"', '{"name":"ü"}'.encode())
