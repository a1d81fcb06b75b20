"""Writes the OpenAPI 3.1 document of the public API: `python -m pac.gateway.openapi [--check]`.

Made from what the gateway really does: paths, methods and who may from `routes.py`, which is the router; bodies from
the models that the services answer with; errors from the contract's table. `descriptions.py` adds the words.
"""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import orjson
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, models_json_schema

from pac.contracts.api import Request
from pac.contracts.error_bodies import error_schema, problem_schema, title
from pac.contracts.errors import ERRORS, ErrorCode
from pac.gateway.description import IDEMPOTENCY_KEY, PAC_ACCOUNT, Description, Form, Parameter, Shape, Text
from pac.gateway.descriptions import DESCRIPTIONS, Key
from pac.gateway.examples import UNAUTHENTICATED
from pac.gateway.openapi_words import DESCRIPTION, HEADERS, SECURITY, SPECIFICATION, STATUSES
from pac.gateway.routes import NAMES, ROUTES, Forward, Own

Document = dict[str, Any]
PATH: Final = Path(__file__).with_name("openapi.json")
JSON, PROBLEM, MULTIPART = "application/json", "application/problem+json", "multipart/form-data"
MAY_SAY_WHEN = frozenset({409, 429, 503})
OF_A_BODY = (
    ErrorCode.INVALID_REQUEST,
    ErrorCode.TOO_SLOW,
    ErrorCode.TOO_LARGE,
    ErrorCode.UNSUPPORTED_MEDIA_TYPE,
)


class Undescribed(Exception):  # noqa: N818 - said to whoever adds a route
    """The message says what to add, or to remove."""


class _Shapes(GenerateJsonSchema):
    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 - a name says it already
        return False


def document() -> Document:
    """Raises Undescribed when routes and descriptions are not the same."""
    if said := "\n".join(faults([(route.method, route.path) for route in ROUTES], DESCRIPTIONS)):
        raise Undescribed(said)
    paths: dict[str, Document] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = operation(
            route, DESCRIPTIONS[route.method, route.path]
        )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "PAC",
            "version": version("pac-gateway"),
            "summary": "Deploys packages of AI agents, and says what became of them",
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(one.tag for one in DESCRIPTIONS.values())],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "responses": {title(code): refused((code,)) for code in ErrorCode},
            "headers": HEADERS,
            "securitySchemes": SECURITY,
        },
    }


def faults(routes: Sequence[Key], described: Iterable[Key]) -> Iterator[str]:
    for method, path in [route for route in routes if route not in set(described)]:
        yield (
            f"{method} {path} is not described. Add this to services/gateway/src/pac/gateway/descriptions.py, "
            f"then run `make generate`:\n"
            f'    ("{method}", "{path}"): Description(\n'
            f'        summary="What it does, in one line", tag=DEPLOYMENTS, answers={{200: TheModelItAnswersWith}}\n'
            f"        # also, where it has them: body=, parameters=, refuses=, headers=, does= (see description.py)\n"
            f"    ),"
        )
    for method, path in [key for key in described if key not in set(routes)]:
        yield f"{method} {path} is described and no route: remove it from descriptions.py, or add it to routes.py"


def operation(route: Forward | Own, said: Description) -> Document:
    found: Document = {
        "operationId": operation_id(route),
        "summary": said.summary,
        "tags": [said.tag],
        "security": security(route),
        "responses": responses(route, said),
    }
    if does := " ".join(filter(None, (said.does, needs(route)))):
        found["description"] = does
    if parameters := [*in_path(route.path), *map(parameter, (*said.parameters, *headers(route)))]:
        found["parameters"] = parameters
    if said.body is not None:
        found["requestBody"] = {"required": is_required(said.body), "content": asked(said.body)}
    return found


def operation_id(route: Forward | Own) -> str:
    words = re.findall(r"[A-Za-z]+", route.path.removeprefix("/api"))
    return "_".join([route.method.lower(), *words])


def needs(route: Forward | Own) -> str:
    if route.public:
        return ""
    return "For the operator." if route.operator else f"Needs the scope `{route.scope}`."


def security(route: Forward | Own) -> list[dict[str, list[str]]]:
    if route.public:
        return []
    if route.operator:
        return [{"admin_key": []}]
    scopes = [route.scope.value] if route.scope else []
    return [{name: scopes} for name in ("api_key", "session_token", "session_cookie")]


# ---- what is asked ---------------------------------------------------------------------------------------------------


def in_path(path: str) -> Iterator[Document]:
    for name in re.findall(r"\{(\w+)\}", path):
        form = {"pattern": f"^{NAMES[name]}$"} if name in NAMES else {"format": "uuid"}
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string", **form}}


def parameter(one: Parameter) -> Document:
    place = "header" if one.header else "query"
    return {"name": one.name, "in": place, "description": one.does, "schema": dict(one.schema)}


def headers(route: Forward | Own) -> Iterator[Parameter]:
    if route.method == "POST":
        yield IDEMPOTENCY_KEY
    if route.scope is not None:
        yield PAC_ACCOUNT


def is_required(body: type[BaseModel] | Form) -> bool:
    """No body is an empty one."""
    if isinstance(body, Form):
        return bool(body.required)
    return any(field.is_required() for field in body.model_fields.values())


def asked(body: type[BaseModel] | Form) -> Document:
    if isinstance(body, Form):
        schema: Document = {"type": "object", "properties": dict(body.fields), "required": list(body.required)}
        return {MULTIPART: {"schema": {**schema, "additionalProperties": False}}}
    return {JSON: {"schema": ref("schemas", body.__name__)}}


# ---- what is answered ------------------------------------------------------------------------------------------------


def responses(route: Forward | Own, said: Description) -> Document:
    found: Document = {}
    for status, shape in said.answers.items():
        example = said.example if status == next(iter(said.answers)) else None
        found[str(status)] = answered(status, shape, (*told(route), *said.headers), example)
    for status, group in groupby(refusals(route, said), lambda code: ERRORS[code].status):
        codes = tuple(group)
        examples = [said.examples_of_errors[code] for code in codes if code in said.examples_of_errors]
        is_shared = len(codes) == 1 and not examples
        found[str(status)] = ref("responses", title(codes[0])) if is_shared else refused(codes, examples)
    return found


def refusals(route: Forward | Own, said: Description) -> list[ErrorCode]:
    """In the table's order, which is that of their statuses."""
    codes = {*said.refuses, ErrorCode.HEADERS_TOO_LARGE, ErrorCode.INTERNAL}
    if not route.public:
        codes |= {ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN, ErrorCode.THROTTLED, ErrorCode.UNAVAILABLE}
        if route.method != "GET":
            codes.add(ErrorCode.FOREIGN_ORIGIN)
    if route.scope is not None and route.method != "GET":
        codes.add(ErrorCode.ACCOUNT_SUSPENDED)
    if isinstance(route, Forward):
        codes |= {ErrorCode.THROTTLED, ErrorCode.UNAVAILABLE}
    if "{" in route.path or route.scope is not None:
        codes.add(ErrorCode.NOT_FOUND)
    if route.method == "POST":
        codes |= {ErrorCode.CONFLICT, ErrorCode.IDEMPOTENCY_MISMATCH}
    if said.parameters or route.method == "POST":
        codes.add(ErrorCode.INVALID_REQUEST)
    if said.body is not None:
        codes |= set(OF_A_BODY)
    return sorted(codes, key=lambda code: (ERRORS[code].status, list(ErrorCode).index(code)))


def told(route: Forward | Own) -> Iterator[str]:
    """The headers of its answers that follow from its line."""
    if route.scope is not None or (route.public and isinstance(route, Forward)):
        yield from ("RateLimit", "RateLimit-Policy")
    if route.method == "POST":
        yield "Idempotent-Replayed"


def answered(status: int, shape: Shape, headers: Sequence[str], example: Any) -> Document:
    found: Document = {
        "description": STATUSES[status],
        "headers": {name: ref("headers", name) for name in ("X-Request-Id", *headers)},
    }
    if shape is None:
        return found
    return {**found, "content": dict(media(one, example) for one in alternatives(shape))}


def alternatives(shape: Shape) -> tuple[type[BaseModel] | Text, ...]:
    if shape is None:
        return ()
    return shape if isinstance(shape, tuple) else (shape,)


def media(shape: type[BaseModel] | Text, example: Any) -> tuple[str, Document]:
    if isinstance(shape, Text):
        return shape.media_type, {"schema": dict(shape.schema)}
    content: Document = {"schema": ref("schemas", shape.__name__)}
    if example is not None:
        content["examples"] = {"specification": {"summary": SPECIFICATION, "value": example}}
    return JSON, content


def refused(codes: tuple[ErrorCode, ...], examples: Sequence[Any] = ()) -> Document:
    headers = ["X-Request-Id"]
    if ERRORS[codes[0]].status in MAY_SAY_WHEN:
        headers.append("Retry-After")
    if ErrorCode.THROTTLED in codes:
        headers += ["RateLimit", "RateLimit-Policy"]
    plain = {"schema": either([ref("schemas", title(code)) for code in codes])}
    if codes == (ErrorCode.UNAUTHENTICATED,):
        headers.append("WWW-Authenticate")
        examples = [UNAUTHENTICATED]
    if examples:
        plain["examples"] = {"specification": {"summary": SPECIFICATION, "value": examples[0]}}
    problem = {"schema": either([ref("schemas", f"{title(code)}Problem") for code in codes])}
    return {
        "description": "; ".join(f"{ERRORS[code].sentence} (`{code}`)" for code in codes),
        "headers": {name: ref("headers", name) for name in headers},
        "content": {JSON: plain, PROBLEM: problem},
    }


def either(choices: list[Document]) -> Document:
    return choices[0] if len(choices) == 1 else {"oneOf": choices}


def ref(*path: str) -> Document:
    return {"$ref": "/".join(("#/components", *path))}


def schemas() -> Document:
    models: dict[type[BaseModel], JsonSchemaMode] = {}
    for said in DESCRIPTIONS.values():
        shapes = [one for shape in said.answers.values() for one in alternatives(shape)]
        for shape in (*shapes, said.body):
            if isinstance(shape, type):
                models[shape] = "validation" if issubclass(shape, Request) else "serialization"
    _, found = models_json_schema(
        list(models.items()), ref_template=ref("schemas", "{model}")["$ref"], schema_generator=_Shapes
    )
    errors = {shape["title"]: shape for code in ErrorCode for shape in (error_schema(code), problem_schema(code))}
    return {**found["$defs"], **errors}


@cache
def content() -> bytes:
    return orjson.dumps(document(), option=orjson.OPT_INDENT_2) + b"\n"


def main(arguments: list[str]) -> int:
    try:
        wanted = content()
    except Undescribed as undescribed:
        sys.stderr.write(f"{undescribed}\n")
        return 1
    if "--check" not in arguments:
        PATH.write_bytes(wanted)
    elif not PATH.exists() or PATH.read_bytes() != wanted:
        sys.stderr.write(f"{PATH.name} is not what the code says: run `make generate` and commit the result\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
