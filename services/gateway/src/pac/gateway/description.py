"""What is said of a route in the API's description, beside what its line in routes.py says already."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from pac.contracts.errors import ErrorCode

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    """Of the query, unless `header`. One that is given and does not fit its schema is refused (400)."""

    name: str
    does: str
    schema: Schema
    header: bool = False


@dataclass(frozen=True)
class Form:
    """A multipart body: `fields` by name, the schema of each; binary ones are files."""

    fields: Mapping[str, Schema]
    required: tuple[str, ...] = ()


@dataclass(frozen=True)
class Text:
    """An answer that is no JSON of a model: its media type, and what its text looks like."""

    media_type: str
    schema: Schema = field(default_factory=lambda: {"type": "string"})


Shape = type[BaseModel] | Text | None | tuple[type[BaseModel], Text]


@dataclass(frozen=True, kw_only=True)
class Description:
    """`answers`: the statuses that are no errors, each with its body's model (None: no body; two: as Accept asks).

    `refuses`: the errors of its own. Those that follow from the route's line need not be named: who may, whether the
    path's ids exist, how often, the limits of a body, a service that is away, a POST sent again (see openapi.py).
    `example`: of the first answer; `examples_of_errors` by code, as they stand in the specification.
    """

    summary: str
    tag: str
    answers: Mapping[int, Shape]
    does: str = ""
    body: type[BaseModel] | Form | None = None
    parameters: tuple[Parameter, ...] = ()
    refuses: tuple[ErrorCode, ...] = ()
    headers: tuple[str, ...] = ()
    example: Any = None
    examples_of_errors: Mapping[ErrorCode, Any] = field(default_factory=dict)


def page(default: int = 50, maximum: int = 200) -> tuple[Parameter, Parameter]:
    """`?limit=` and `?cursor=` of a list."""
    limit = {"type": "integer", "minimum": 1, "maximum": maximum, "default": default}
    return (
        Parameter("limit", "How many at most.", limit),
        Parameter("cursor", "Where to go on: `next_cursor` of the page before.", {"type": "string"}),
    )


def flag(name: str, does: str) -> Parameter:
    return Parameter(name, does, {"type": "string", "enum": ["true", "false", "1", "0"], "default": "false"})


# Of every POST, and of every request for an account: openapi.py adds them.
IDEMPOTENCY_KEY = Parameter(
    "Idempotency-Key",
    "The same request with the same key within a day: done once, answered the same.",
    {"type": "string", "minLength": 1, "maxLength": 255},
    header=True,
)
PAC_ACCOUNT = Parameter(
    "PAC-Account",
    "Which of the caller's accounts is meant. Left out: the one that the path belongs to, else their first.",
    {"type": "string", "format": "uuid"},
    header=True,
)
