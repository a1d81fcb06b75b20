"""The shape of every error's body, as JSON Schema: PAC's own form, and RFC 9457's with the same members in it."""

from collections.abc import Mapping
from typing import Any, Final

from pac.contracts.errors import ERRORS, ErrorCode

Schema = dict[str, Any]
TEXT: Final[Schema] = {"type": "string"}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
UUID: Final[Schema] = {"type": "string", "format": "uuid"}
COMMON: Final[Mapping[str, Schema]] = {
    "error": {"type": "string", "description": "One sentence for people."},
    "code": {"type": "string", "description": "For programs; stable."},
    "request_id": {"type": "string", "description": "The same as the header X-Request-Id; the operator finds it."},
    "hint": {"type": "string", "description": "What to do about it."},
}
OF_A_PROBLEM: Final[Mapping[str, Schema]] = {
    "type": {"type": "string", "format": "uri", "description": "urn:pac:error:<code>"},
    "title": {"type": "string", "description": "The sentence of the code, whatever the occurrence."},
    "status": {"type": "integer"},
    "detail": {"type": "string", "description": "The same as `error`."},
    "instance": {"type": "string", "format": "uri-reference", "description": "The path that was asked for."},
}
# Beside them, by name: the same name means the same wherever it stands.
FIELDS: Final[Mapping[str, Schema]] = {
    "details": {"type": "array", "items": TEXT, "minItems": 1, "description": "One line for each fault."},
    "problems": {
        "type": "array",
        "description": "The same for programs.",
        "items": {
            "type": "object",
            "properties": dict.fromkeys(("code", "message", "entry", "hint"), TEXT),
            "required": ["code", "message"],
        },
    },
    "existing": {
        "type": "object",
        "description": "The package that has the version.",
        "properties": {
            "package_id": UUID,
            "sha256": TEXT,
            "same_content": {"type": "boolean"},
            "deployment_id": UUID,
            "status_url": TEXT,
        },
        "required": ["package_id", "sha256", "same_content"],
    },
    "required": {**COUNT, "description": "Credits that it costs."},
    "available": {**COUNT, "description": "Credits that there are."},
    "deployment_id": {**UUID, "description": "The deployment that was refused; it can be looked at."},
    "scope": {"type": ["string", "null"], "description": "What the key or the role lacks."},
    "used_by": {
        "type": "array",
        "description": "Deployments that need it.",
        "items": {
            "type": "object",
            "properties": {"deployment_id": UUID, "current_release": {"type": "boolean"}},
            "required": ["deployment_id"],
        },
    },
    "package_status": {**TEXT, "description": "What the package is instead."},
    "max_size_bytes": {**COUNT, "description": "The limit."},
}


def error_schema(code: ErrorCode) -> Schema:
    """Of the body that `code` is answered with."""
    kind = ERRORS[code]
    fields = {name: FIELDS[name] for name in (*kind.always, *kind.sometimes)}
    hinted = ["hint"] if kind.hint else []
    return {
        "title": title(code),
        "type": "object",
        "properties": {**COMMON, "code": {"const": code.value}, **fields},
        "required": ["error", "code", "request_id", *hinted, *kind.always],
    }


def problem_schema(code: ErrorCode) -> Schema:
    """The same under RFC 9457, for whoever asks with `Accept: application/problem+json`."""
    plain, kind = error_schema(code), ERRORS[code]
    own = {**OF_A_PROBLEM, "type": {"const": problem_type(code)}, "status": {"const": kind.status}}
    return {
        **plain,
        "title": f"{title(code)}Problem",
        "properties": {**own, **plain["properties"]},
        "required": [*own, *plain["required"]],
    }


def problem_type(code: ErrorCode) -> str:
    return f"urn:pac:error:{code.value}"


def title(code: ErrorCode) -> str:
    return "".join(word.capitalize() for word in code.value.split("_"))
