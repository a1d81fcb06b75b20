"""The whole table of errors, said by a service and heard through the gateway, in both forms; and the gateway's own."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import hdrs, web
from jsonschema import Draft202012Validator

from pac.contracts.error_bodies import error_schema, problem_schema
from pac.contracts.errors import ERRORS, ErrorCode, Refused
from pac.servicekit.answers import Failure, error_response

PROBLEM = "application/problem+json"
FIELDS: dict[str, Any] = {
    "details": ["Version already exists"],
    "problems": [{"code": "version_exists", "message": "Version already exists"}],
    "existing": {"package_id": "0" * 8 + "-0000-4000-8000-" + "0" * 12, "sha256": "0" * 64, "same_content": True},
    "required": 10,
    "available": 5,
    "deployment_id": "0" * 8 + "-0000-4000-8000-" + "1" * 12,
    "scope": "deploy",
    "used_by": [{"deployment_id": "0" * 8 + "-0000-4000-8000-" + "1" * 12}],
    "package_status": "rejected",
    "max_size_bytes": 1,
}
UNKNOWN = "/api/deployments/00000000-0000-4000-8000-000000000000"


def saying(code: ErrorCode) -> Any:
    kind = ERRORS[code]
    fields = {name: FIELDS[name] for name in (*kind.always, *kind.sometimes)}

    async def handle(request: web.Request) -> web.StreamResponse:
        return error_response(
            Failure.of(Refused(code, **fields)),
            request_id=request.headers["X-Request-Id"],
            accept=request.headers.get(hdrs.ACCEPT, ""),
            path=request.path,
        )

    return handle


@pytest.mark.parametrize("accept", ["*/*", PROBLEM])
@pytest.mark.parametrize("code", list(ErrorCode))
async def test_every_code_reaches_the_client_with_its_shape(stage: Any, code: ErrorCode, accept: str) -> None:
    tenant = await stage.gateway.account()
    stage.billing.handle = saying(code)
    answer = await stage.gateway.call("GET", "/api/credits", tenant.key, headers={"Accept": accept})
    kind, is_problem = ERRORS[code], accept == PROBLEM
    assert (answer.status, answer.reason) == (kind.status, kind.sentence)
    assert answer.headers["Content-Type"].partition(";")[0] == (PROBLEM if is_problem else "application/json")
    Draft202012Validator(problem_schema(code) if is_problem else error_schema(code)).validate(answer.json)
    assert answer.json["request_id"] == answer.headers["X-Request-Id"]
    assert answer.json["hint"] == kind.hint
    assert {name: answer.json[name] for name in (*kind.always, *kind.sometimes)} == {
        name: FIELDS[name] for name in (*kind.always, *kind.sometimes)
    }
    if is_problem:
        assert answer.json["instance"] == "/api/credits"
        assert (answer.json["title"], answer.json["detail"]) == (kind.sentence, answer.json["error"])
    assert ("Retry-After" in answer.headers) is (kind.status in {429, 503})
    assert ("WWW-Authenticate" in answer.headers) is (kind.status == 401)


@dataclass(frozen=True)
class Asked:
    code: ErrorCode
    method: str
    path: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None


JSON = {"Content-Type": "application/json"}
ASKED = (
    Asked(ErrorCode.UNAUTHENTICATED, "GET", "/api/credits", key="pac_" + "x" * 38),
    Asked(ErrorCode.FORBIDDEN, "POST", "/api/admin/accounts", b'{"name": "x"}', JSON),
    Asked(ErrorCode.NOT_FOUND, "GET", "/api/agent-apps/x"),
    Asked(ErrorCode.NOT_FOUND, "GET", "/no/such/path"),
    Asked(ErrorCode.METHOD_NOT_ALLOWED, "PUT", "/api/agent-apps"),
    Asked(ErrorCode.INVALID_REQUEST, "POST", "/api/agent-apps", b'{"surname": "x"}', JSON),
    Asked(ErrorCode.INVALID_REQUEST, "GET", "/api/agent-apps?limit=0"),
    Asked(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "POST", "/api/agent-apps", b"name=x", {"Content-Type": "text/plain"}),
    Asked(ErrorCode.TOO_LARGE, "POST", "/api/agent-apps", b"x" * 2**21, JSON),
    Asked(ErrorCode.HEADERS_TOO_LARGE, "GET", "/api/agent-apps", headers={"Cookie": "x" * 2**18}),
)


@pytest.mark.parametrize("accept", ["*/*", PROBLEM])
@pytest.mark.parametrize("asked", ASKED, ids=lambda one: f"{one.code} {one.method} {one.path}")
async def test_what_the_gateway_says_itself(stage: Any, asked: Asked, accept: str) -> None:
    tenant = await stage.gateway.account()
    body = {"data": io.BytesIO(asked.body)} if asked.body is not None else {}
    answer = await stage.gateway.call(
        asked.method, asked.path, asked.key or tenant.key, headers={**asked.headers, "Accept": accept}, **body
    )
    assert (answer.status, answer.json["code"]) == (ERRORS[asked.code].status, asked.code)
    # Headers that are too large were not read: nobody knows what form was asked for.
    is_problem = accept == PROBLEM and asked.code is not ErrorCode.HEADERS_TOO_LARGE
    Draft202012Validator((problem_schema if is_problem else error_schema)(asked.code)).validate(answer.json)
    assert answer.reason == answer.json["error"]
