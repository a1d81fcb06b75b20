"""Each kind of break is caught, wherever it is, and named; what is only added is not held up."""

import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pac.contracts.breaks import Schema, breaks
from pac.contracts.compatibility import faults, main, released, today

RELEASED = Path(__file__).parents[2] / "released"
EVENTS = today()
ANYTHING = {"title": "More", "type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]}


@dataclass(frozen=True)
class Field:
    """A field of an object somewhere in an event's schema."""

    event: str
    owner: str | None  # the name in `$defs`, or None for the event itself
    name: str

    def of(self, document: Schema) -> tuple[Schema, Schema]:
        owner: Schema = document["$defs"][self.owner] if self.owner else document
        return owner, owner["properties"][self.name]


def fields_of(event: str, document: Schema) -> list[Field]:
    owners: list[tuple[str | None, Schema]] = [(None, document), *document.get("$defs", {}).items()]
    return [Field(event, owner, name) for owner, schema in owners for name in schema.get("properties", {})]


FIELDS = [field for event, document in EVENTS.items() for field in fields_of(event, document)]


def spread(document: Schema, schema: Schema) -> Schema:
    """Gives the field a schema of its own, so that a change of it is of this field only."""
    if "$ref" in schema:
        ref = schema.pop("$ref")
        schema.update(deepcopy(document["$defs"][ref.rpartition("/")[2]]))
    return schema


# ---- changes, each as a function of (owner, name, field); False: it cannot be made here ----------------------


def is_gone(owner: Schema, name: str, _field: Schema) -> bool:
    del owner["properties"][name]
    owner["required"] = [each for each in owner.get("required", []) if each != name]
    return True


def has_another_name(owner: Schema, name: str, _field: Schema) -> bool:
    owner["properties"][f"{name}_"] = owner["properties"].pop(name)
    owner["required"] = [f"{name}_" if each == name else each for each in owner.get("required", [])]
    return True


def is_of_another_type(_owner: Schema, _name: str, field: Schema) -> bool:
    for each in (field, *field.get("anyOf", [])):
        if "type" in each and each["type"] != "null":
            each["type"] = "string" if each["type"] != "string" else "integer"
            return True
    return False


def is_of_another_format(_owner: Schema, _name: str, field: Schema) -> bool:
    for each in (field, *field.get("anyOf", [])):
        if "format" in each:
            each["format"] = "email"
            return True
    return False


def becomes_required(owner: Schema, name: str, _field: Schema) -> bool:
    if name in owner.get("required", []):
        return False
    owner["required"] = [*owner.get("required", []), name]
    return True


def becomes_optional(owner: Schema, name: str, field: Schema) -> bool:
    if name not in owner.get("required", []):
        return False
    owner["required"].remove(name)
    field["default"] = None
    return True


def may_be_null(_owner: Schema, _name: str, field: Schema) -> bool:
    if "anyOf" in field:
        return False
    plain = deepcopy(field)
    field.clear()
    field["anyOf"] = [plain, {"type": "null"}]
    return True


def may_not_be_null(_owner: Schema, _name: str, field: Schema) -> bool:
    if "anyOf" not in field:
        return False
    field["anyOf"] = [each for each in field["anyOf"] if each.get("type") != "null"]
    return True


def allows_fewer_values(_owner: Schema, _name: str, field: Schema) -> bool:
    if len(field.get("enum", [])) < 2:
        return False
    field["enum"] = field["enum"][1:]
    return True


def allows_more_values(_owner: Schema, _name: str, field: Schema) -> bool:
    if "enum" not in field and "const" not in field:
        return False
    field["enum"] = [*field.pop("enum", []), *([field.pop("const")] if "const" in field else []), "another"]
    return True


def allows_one_value(_owner: Schema, _name: str, field: Schema) -> bool:
    if "enum" in field or "const" in field or field.get("type") != "string":
        return False
    field["enum"] = ["only this"]
    return True


def allows_any_value(_owner: Schema, _name: str, field: Schema) -> bool:
    return field.pop("enum", field.pop("const", None)) is not None


def has_another_pattern(_owner: Schema, _name: str, field: Schema) -> bool:
    if field.get("type") != "string":
        return False
    field["pattern"] = f"{field.get('pattern', '')}x"
    return True


def loses_its_pattern(_owner: Schema, _name: str, field: Schema) -> bool:
    return field.pop("pattern", None) is not None


def is_limited(_owner: Schema, _name: str, field: Schema) -> bool:
    limit = {"string": "maxLength", "integer": "maximum", "array": "maxItems"}.get(field.get("type", ""))
    if limit is None:
        return False
    field[limit] = 7
    return True


def has_another_default(_owner: Schema, _name: str, field: Schema) -> bool:
    if "default" not in field:
        return False
    field["default"] = "another"
    return True


def has_other_items(_owner: Schema, _name: str, field: Schema) -> bool:
    for each in (field, *field.get("anyOf", [])):
        if "items" in each:
            each["items"] = {"type": "boolean"}
            return True
        if isinstance(each.get("additionalProperties"), dict):
            each["additionalProperties"] = {"type": "boolean"}
            return True
    return False


BREAKS: list[Callable[[Schema, str, Schema], bool]] = [
    is_gone, has_another_name, is_of_another_type, is_of_another_format, becomes_required, becomes_optional,
    may_be_null, may_not_be_null, allows_fewer_values, allows_more_values, allows_one_value, allows_any_value,
    has_another_pattern, loses_its_pattern, is_limited, has_another_default, has_other_items,
]  # fmt: skip


def changed(field: Field, change: Callable[[Schema, str, Schema], bool], document: Schema) -> Schema | None:
    now = deepcopy(document)
    owner, schema = field.of(now)
    return now if change(owner, field.name, spread(now, schema)) else None


def add_optional(draw: st.DataObject, document: Schema) -> None:
    """Fields, objects and texts for people that a release may add."""
    owners: list[Schema] = [document, *(d for d in document.get("$defs", {}).values() if "properties" in d)]
    document.setdefault("$defs", {})["More"] = deepcopy(ANYTHING)
    more: st.SearchStrategy[Schema] = st.sampled_from(
        [
            {"anyOf": [{"type": "string"}, {"type": "null"}], "default": None},
            {"anyOf": [{"$ref": "#/$defs/More"}, {"type": "null"}], "default": None},
            {"type": "boolean", "default": False},
            {"type": "array", "items": {"$ref": "#/$defs/More"}, "default": []},
        ]
    )
    for owner in owners:
        for name in draw.draw(st.lists(st.sampled_from(["more", "note", "zone"]), unique=True)):
            owner["properties"][name] = draw.draw(more)
        owner["description"] = draw.draw(st.text(max_size=5))
        owner["properties"] = dict(draw.draw(st.permutations(sorted(owner["properties"].items()))))


@given(draw=st.data(), event=st.sampled_from(sorted(EVENTS)))
def test_what_is_only_added_is_no_break(draw: st.DataObject, event: str) -> None:
    now = deepcopy(EVENTS[event])
    add_optional(draw, now)
    assert list(breaks(EVENTS[event], now)) == []


@given(draw=st.data(), field=st.sampled_from(FIELDS), change=st.sampled_from(BREAKS))
def test_a_break_is_found_among_additions_and_its_field_is_named(
    draw: st.DataObject, field: Field, change: Callable[[Schema, str, Schema], bool]
) -> None:
    before = EVENTS[field.event]
    if (now := changed(field, change, before)) is None:
        return
    add_optional(draw, now)
    found = list(breaks(before, now))
    assert found, change.__name__
    named = [set(fault.partition(":")[0].replace("[]", "").split(".")) for fault in found]
    assert all({field.name, f"{field.name}_"} & names for names in named), found


@pytest.mark.parametrize("change", BREAKS)
def test_each_kind_of_break_is_caught_in_every_field_where_it_can_be_made(
    change: Callable[[Schema, str, Schema], bool],
) -> None:
    made = [(field, now) for field in FIELDS if (now := changed(field, change, EVENTS[field.event])) is not None]
    assert made, "no event has such a field"
    assert [field for field, now in made if not list(breaks(EVENTS[field.event], now))] == []


@given(draw=st.data(), event=st.sampled_from(sorted(EVENTS)))
def test_a_new_required_field_is_a_break(draw: st.DataObject, event: str) -> None:
    now = deepcopy(EVENTS[event])
    owners: list[Schema] = [now, *(d for d in now.get("$defs", {}).values() if "properties" in d)]
    owner = draw.draw(st.sampled_from(owners))
    owner["properties"]["more"] = {"type": "string"}
    owner["required"] = [*owner.get("required", []), "more"]
    [*found] = breaks(EVENTS[event], now)
    assert found
    assert all("more: is new and required" in fault for fault in found)


def test_another_type_is_told_in_one_line() -> None:
    now = deepcopy(EVENTS["billing/CreditsReserved.v1.json"])
    now["properties"]["amount"]["type"] = "string"
    assert list(breaks(EVENTS["billing/CreditsReserved.v1.json"], now)) == ["amount: is string, and was integer"]


def test_refusing_unknown_fields_is_a_break() -> None:
    event = "billing/CreditsReserved.v1.json"
    assert list(breaks(EVENTS[event], {**EVENTS[event], "additionalProperties": False})) == [
        ": additionalProperties is False, and was not set"
    ]


def nested(inner: Schema) -> Schema:
    return {
        "type": "object",
        "properties": {"at": {"type": "string"}, "inner": {"anyOf": [inner, {"type": "null"}], "default": None}},
        "required": ["at"],
    }


LEAVES: st.SearchStrategy[Schema] = st.sampled_from(
    [{"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"enum": ["a", "b"], "type": "string"}]
)
ANY: st.SearchStrategy[Schema] = st.recursive(
    LEAVES, lambda inner: st.one_of(inner.map(nested), inner.map(lambda each: {"type": "array", "items": each}))
)


@given(before=ANY, now=ANY)
def test_two_schemas_are_without_a_break_only_if_they_are_the_same(before: Schema, now: Schema) -> None:
    assert (not list(breaks(before, now))) == (before == now)


@pytest.mark.parametrize(
    "again",
    [
        {"type": "array", "items": {"$ref": "#/$defs/Tree"}},
        {"anyOf": [{"$ref": "#/$defs/Tree"}, {"type": "null"}], "default": None},
    ],
)
def test_a_type_inside_of_itself_is_compared_once(again: Schema) -> None:
    tree: Schema = {
        "$defs": {"Tree": {"type": "object", "properties": {"of": again, "leaf": {"type": "string"}}}},
        "$ref": "#/$defs/Tree",
    }
    assert list(breaks(tree, deepcopy(tree))) == []
    cut = deepcopy(tree)
    del cut["$defs"]["Tree"]["properties"]["leaf"]
    assert list(breaks(tree, cut)) == ["leaf: the field is gone, or has another name"]


# ---- whole releases --------------------------------------------------------------------------------------------------


def test_todays_events_keep_what_the_last_release_promised() -> None:
    assert list(faults(released(RELEASED), EVENTS)) == []
    assert main([str(RELEASED)]) == 0


def test_a_removed_event_is_named() -> None:
    now = {name: schema for name, schema in EVENTS.items() if "PackageStored" not in name}
    assert list(faults(EVENTS, now)) == [
        "packages/PackageStored: the event is gone; logs hold it, so it must be read for ever"
    ]


def test_an_event_that_another_service_says_now_is_a_removed_one() -> None:
    now = {name.replace("billing/", "gateway/"): schema for name, schema in EVENTS.items()}
    assert len(list(faults(EVENTS, now))) == sum(name.startswith("billing/") for name in EVENTS)


def test_a_new_version_may_be_anything_and_an_old_one_does_not_come_back() -> None:
    name, later = "billing/CreditsReserved.v1.json", "billing/CreditsReserved.v2.json"
    now: dict[str, Any] = {later if each == name else each: schema for each, schema in EVENTS.items()}
    now[later] = {"type": "object", "properties": {}}
    assert list(faults(EVENTS, now)) == []
    assert list(faults(now, EVENTS)) == ["billing/CreditsReserved: version 2 was released, and today's is 1"]


def test_the_command_names_the_field(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "released"
    shutil.copytree(RELEASED, folder)
    path = folder / "packages/PackageRejected.v1.json"
    schema = orjson.loads(path.read_bytes())
    schema["$defs"]["Problem"]["properties"]["line"] = {"type": "integer"}
    path.write_bytes(orjson.dumps(schema))
    assert main([str(folder)]) == 1
    assert "packages/PackageRejected.problems[].line: the field is gone" in capsys.readouterr().err
    assert main(["--release", "0.2.0", str(folder)]) == 1
    assert orjson.loads(path.read_bytes()) == schema, "a release that breaks is not recorded"


def test_a_release_is_recorded(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 2, "nothing to compare with is not a success"
    assert main(["--release", "0.2.0", str(tmp_path)]) == 0
    assert released(tmp_path) == EVENTS
    assert (tmp_path / "RELEASE").read_text() == "0.2.0\n"
    assert main([str(tmp_path)]) == 0


@pytest.mark.parametrize("arguments", [[], ["--release", "0.2.0"], ["--check", "x"], ["a", "b"], ["--what"]])
def test_another_call_is_refused(arguments: list[str]) -> None:
    assert main(arguments) == 2
