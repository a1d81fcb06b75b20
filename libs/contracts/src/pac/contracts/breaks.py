"""What of a JSON Schema has changed, other than optional fields that were added. Pure.

Both directions count: today's code reads what the release wrote, and the release's code reads what is said today. So
everything that is there must stay as it is, in what it refuses as in what it allows.
"""

from collections.abc import Iterator, Mapping
from typing import Any

Schema = dict[str, Any]
TOLD_ELSEWHERE = frozenset({"anyOf", "oneOf", "const", "enum", "properties", "required", "items", "default", "$defs"})
FOR_PEOPLE = frozenset({"title", "description", "examples", "deprecated", "$comment", "discriminator"})


def breaks(before: Schema, now: Schema) -> Iterator[str]:
    """`field: what is wrong`, one a break; a field of a field is `problems[].code`."""
    yield from _Pair(before, now).breaks(before, now, "")


class _Pair:
    """Two documents, each with its own `$defs`."""

    def __init__(self, before: Schema, now: Schema) -> None:
        self.before, self.now = before, now

    def breaks(self, before: Any, now: Any, where: str, within: frozenset[str] = frozenset()) -> Iterator[str]:
        if before.get("$ref") in within:
            return  # a type inside of itself: looked at already
        within |= {before.get("$ref", "")}
        before, now = resolved(before, self.before), resolved(now, self.now)
        yield from self._default(before, now, where)
        alternatives, others = _alternatives(before, self.before), _alternatives(now, self.now)
        if len(alternatives) == len(others) == 1 and alternatives.keys() != others.keys():
            yield f"{where}: is {min(others)}, and was {min(alternatives)}"
            return
        for kind in sorted(alternatives.keys() - others.keys()):
            yield f"{where}: may no longer be {kind}"
        for kind in sorted(others.keys() - alternatives.keys()):
            yield f"{where}: may be {kind}, which readers of the release do not expect"
        for kind in sorted(alternatives.keys() & others.keys()):
            yield from self._one(alternatives[kind], others[kind], where, within)

    def _one(self, before: Schema, now: Schema, where: str, within: frozenset[str]) -> Iterator[str]:
        if before.get("$ref") in within:
            return
        within |= {before.get("$ref", "")}
        before, now = resolved(before, self.before), resolved(now, self.now)
        yield from _values(before, now, where)
        yield from self._properties(before, now, where, within)
        if "items" in before and "items" in now:
            yield from self.breaks(before["items"], now["items"], f"{where}[]", within)
        elif ("items" in before) != ("items" in now):
            yield f"{where}: its items are of another type"
        for keyword in sorted((before.keys() | now.keys()) - TOLD_ELSEWHERE - FOR_PEOPLE):
            old, new = before.get(keyword), now.get(keyword)
            if isinstance(old, dict) and isinstance(new, dict):
                yield from self.breaks(old, new, f"{where}.{{}}".lstrip("."), within)
            elif _bare(old, self.before) != _bare(new, self.now):
                yield f"{where}: {keyword} is {_told(new)}, and was {_told(old)}"

    def _properties(self, before: Schema, now: Schema, where: str, within: frozenset[str]) -> Iterator[str]:
        old, new = before.get("properties", {}), now.get("properties", {})
        needed, needs = set(before.get("required", ())), set(now.get("required", ()))
        for name, schema in old.items():
            field = f"{where}.{name}".lstrip(".")
            if name not in new:
                yield f"{field}: the field is gone, or has another name"
                continue
            if name in needs - needed:
                yield f"{field}: is required, and was optional: old events may not have it"
            if name in needed - needs:
                yield f"{field}: is optional, and was required: readers of the release need it"
            yield from self.breaks(schema, new[name], field, within)
        for name in new.keys() - old.keys():
            if name in needs:
                yield f"{where}.{name}".lstrip(".") + ": is new and required: old events do not have it"

    def _default(self, before: Schema, now: Schema, where: str) -> Iterator[str]:
        if "default" in before and "default" in now and before["default"] != now["default"]:
            yield (
                f"{where}: is {_told(now['default'])} where an event does not say it, and was "
                f"{_told(before['default'])}: old events would mean something else"
            )


def resolved(schema: Schema, document: Schema) -> Schema:
    """The schema with its `$ref`, if any, replaced by what it names; what stands beside the reference wins."""
    while (ref := schema.get("$ref")) is not None:
        target: Schema = document["$defs"][ref.rpartition("/")[2]]
        schema = {**target, **{name: value for name, value in schema.items() if name != "$ref"}}
    return schema


def _alternatives(schema: Schema, document: Schema) -> dict[str, Schema]:
    """What a value may be, by JSON type; two objects are told apart by their names."""
    several = schema.get("anyOf") or schema.get("oneOf") or [schema]
    known: dict[str, Schema] = {}
    kinds = [_kind(resolved(each, document)) for each in several]
    for kind, each in zip(kinds, several, strict=True):
        plain = resolved(each, document)
        known[f"{kind} {plain.get('title', len(known))}" if kinds.count(kind) > 1 else kind] = each
    return known


def _kind(schema: Schema) -> str:
    return str(schema.get("type", "anything"))


def _values(before: Schema, now: Schema, where: str) -> Iterator[str]:
    old, new = _allowed(before), _allowed(now)
    if old == new:
        return
    if new is None:
        yield f"{where}: allows any value, which readers of the release cannot read"
    elif old is None:
        yield f"{where}: allows only {_told(new)}"
    else:
        for value in old:
            if value not in new:
                yield f"{where}: no longer allows {_told(value)}"
        for value in new:
            if value not in old:
                yield f"{where}: allows {_told(value)}, which readers of the release cannot read"


def _allowed(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return sorted(schema["enum"], key=str) if "enum" in schema else None


def _bare(schema: Any, document: Schema) -> Any:
    """Without what only people read."""
    match schema:
        case Mapping():
            plain = resolved(dict(schema), document)
            return {name: _bare(value, document) for name, value in plain.items() if name not in FOR_PEOPLE}
        case list():
            return [_bare(value, document) for value in schema]
        case _:
            return schema


def _told(value: Any) -> str:
    return "not set" if value is None else repr(value)
