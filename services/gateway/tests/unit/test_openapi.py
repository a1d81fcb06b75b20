"""The document is the router's: nothing is left out, nothing made up, and it is what is committed."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

from pac.contracts.errors import ERRORS, ErrorCode
from pac.gateway import examples
from pac.gateway.descriptions import DESCRIPTIONS
from pac.gateway.openapi import JSON, PATH, PROBLEM, content, document, faults, main, refusals
from pac.gateway.routes import ROUTES, Forward, Own

DOCUMENT = document()
OPERATIONS = [(method, path, said) for path, one in DOCUMENT["paths"].items() for method, said in one.items()]
# Raised by what is not public yet, or by no route in particular.
ELSEWHERE = {ErrorCode.METHOD_NOT_ALLOWED}


def every(value: Any, key: str) -> Iterator[Any]:
    match value:
        case dict():
            for name, inner in value.items():
                if name == key:
                    yield inner
                yield from every(inner, key)
        case list():
            for inner in value:
                yield from every(inner, key)
        case _:
            pass


def test_the_document_is_openapi_3_1() -> None:
    validate(json.loads(content()), cls=OpenAPIV31SpecValidator)
    assert DOCUMENT["openapi"] == "3.1.0"


def test_every_route_is_described_and_nothing_else() -> None:
    assert {(method.upper(), path) for method, path, _ in OPERATIONS} == {(one.method, one.path) for one in ROUTES}


def test_the_committed_document_is_what_the_code_says() -> None:
    assert main(["--check"]) == 0
    assert PATH.read_bytes() == content()


def test_a_route_without_a_description_is_refused_with_what_to_add() -> None:
    routes = [(route.method, route.path) for route in ROUTES]
    (said,) = faults([*routes, ("GET", "/api/new")], DESCRIPTIONS)
    assert said.startswith(
        "GET /api/new is not described. Add this to services/gateway/src/pac/gateway/descriptions.py"
    )
    assert '("GET", "/api/new"): Description(' in said
    (said,) = faults(routes, [*DESCRIPTIONS, ("GET", "/api/old")])
    assert said.startswith("GET /api/old is described and no route")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_what_is_said_of_a_route_is_what_the_gate_asks_for(route: Forward | Own) -> None:
    said = DOCUMENT["paths"][route.path][route.method.lower()]
    names = {name for way in said["security"] for name in way}
    scopes = {scope for way in said["security"] for found in way.values() for scope in found}
    if route.public:
        assert names == set()
    elif route.operator:
        assert names == {"admin_key"}
    else:
        assert route.scope is not None
        assert (names, scopes) == ({"api_key", "session_token", "session_cookie"}, {route.scope.value})
    in_path = {one["name"] for one in said.get("parameters", ()) if one["in"] == "path"}
    assert in_path == set(re.findall(r"\{(\w+)\}", route.path))
    assert ("401" in said["responses"]) is not route.public
    assert ("404" in said["responses"]) is ("{" in route.path or route.scope is not None)
    in_headers = {one["name"] for one in said.get("parameters", ()) if one["in"] == "header"}
    assert ("Idempotency-Key" in in_headers) is (route.method == "POST")
    assert ("PAC-Account" in in_headers) is (route.scope is not None)
    if "requestBody" in said:
        assert route.method in {"POST", "PUT", "PATCH"}


def test_operations_have_names_of_their_own() -> None:
    names = [said["operationId"] for _, _, said in OPERATIONS]
    assert len(names) == len(set(names))


def test_every_reference_leads_somewhere_and_every_component_is_used() -> None:
    found = set(every(DOCUMENT, "$ref"))
    there = {f"#/components/{kind}/{name}" for kind, all_of in DOCUMENT["components"].items() for name in all_of}
    assert found <= there
    unused = {name for name in there - found if "/schemas/" in name}
    assert not unused


def test_every_code_is_an_answer_of_some_route() -> None:
    said = {code for route in ROUTES for code in refusals(route, DESCRIPTIONS[route.method, route.path])}
    assert set(ErrorCode) - said <= ELSEWHERE


def test_every_error_has_both_forms_and_its_own_status() -> None:
    for method, path, said in OPERATIONS:
        for status, response in said["responses"].items():
            if int(status) < 400:
                continue
            name = response.get("$ref", "").rpartition("/")[2]
            whole = DOCUMENT["components"]["responses"][name] if name else response
            assert set(whole["content"]) == {JSON, PROBLEM}, (method, path, status)
            codes = set(re.findall(r"\(`(\w+)`\)", whole["description"]))
            assert {ERRORS[ErrorCode(code)].status for code in codes} == {int(status)}


def test_the_specifications_examples_are_all_there() -> None:
    shown = [one["value"] for one in every(DOCUMENT, "specification")]
    wanted = [value for name, value in vars(examples).items() if name.isupper()]
    assert len(wanted) == 9
    assert all(value in shown for value in wanted)
