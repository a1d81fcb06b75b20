"""Is this answer one that the description of the API tells of? Stricter than it: no field that it does not name."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from jsonschema import Draft202012Validator

from pac.gateway.openapi import document

Json = dict[str, Any]


class NotDescribed(AssertionError):  # noqa: N818 - an assertion about an answer, told as a sentence
    """The message names the request and everything about its answer that the document does not allow."""


@dataclass(frozen=True)
class Contract:
    document: Json = field(default_factory=document, repr=False)

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], Json]]:
        """Fixed ones first, as the router has them."""
        found = sorted(self.document["paths"].items(), key=lambda one: one[0].count("{"))
        return [(re.compile(re.sub(r"\\?\{\w+\\?\}", "[^/]+", re.escape(path))), one) for path, one in found]

    @cached_property
    def _components(self) -> Json:
        return {"schemas": closed(self.document["components"]["schemas"])}

    def operation(self, method: str, path: str) -> Json | None:
        bare = path.partition("?")[0]
        for pattern, methods in self._paths:
            if pattern.fullmatch(bare):
                found: Json | None = methods.get(method.lower())
                return found
        return None

    def check(self, method: str, path: str, status: int, headers: Mapping[str, str], body: Any) -> None:
        """Raises NotDescribed. What is no public route is not looked at. `body` is parsed where it is JSON."""
        if (operation := self.operation(method, path)) is None:
            return
        if said := faults(self, operation, status, headers, body):
            raise NotDescribed(f"{method} {path} → {status}: " + "; ".join(said))

    def resolved(self, one: Json) -> Json:
        if (ref := one.get("$ref")) is None:
            return one
        _, _, kind, name = ref.split("/")
        found: Json = self.document["components"][kind][name]
        return found

    def validator(self, schema: Json) -> Draft202012Validator:
        whole = {**closed(schema), "components": self._components}
        return Draft202012Validator(whole, format_checker=Draft202012Validator.FORMAT_CHECKER)


@cache
def contract() -> Contract:
    return Contract()


def faults(known: Contract, operation: Json, status: int, headers: Mapping[str, str], body: Any) -> list[str]:
    if (response := operation["responses"].get(str(status))) is None:
        return ["this status is not described"]
    said = known.resolved(response)
    missing = [
        f"header {name} is missing"
        for name, header in said.get("headers", {}).items()
        if known.resolved(header).get("required") and name not in headers
    ]
    if not said.get("content"):
        return missing + ([f"a body came where none is described: {body!r}"] if body else [])
    media_type = headers.get("Content-Type", "").partition(";")[0]
    if media_type not in said["content"]:
        return [*missing, f"{media_type or 'no media type'} is not described"]
    errors = known.validator(said["content"][media_type]["schema"]).iter_errors(body)
    return missing + [f"{error.json_path}: {error.message}" for error in errors]


def closed(schema: Any) -> Any:
    """The same, where an object with named properties may have no others."""
    match schema:
        case {"type": "object", "properties": _}:
            inner = {name: closed(value) for name, value in schema.items()}
            return {"additionalProperties": False, **inner}
        case dict():
            return {name: closed(value) for name, value in schema.items()}
        case list():
            return [closed(value) for value in schema]
        case _:
            return schema
