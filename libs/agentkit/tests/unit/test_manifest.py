"""The manifest: which one counts, what it must say, and strangers' documents that try to do harm."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pac.agentkit.apkg import check_version, inspect
from pac.agentkit.apkg.documents import BadDocument, parse_json, parse_yaml

Store = Callable[[bytes], Path]
GOOD = {"version": "1.0", "name": "echo-agent", "entrypoint": "src.main:handler", "metadata": {"version": "1.2.0"}}
NONE: dict[str, Any] = {".pixell/package.json": None}


def as_json(**changed: object) -> bytes:
    return json.dumps({key: value for key, value in {**GOOD, **changed}.items() if value is not None}).encode()


def test_manifest_json_wins_over_package_json_over_agent_yaml(stored: Store, craft: Any) -> None:
    everything = {"manifest.json": as_json(), "agent.yaml": as_json()}
    inspection = inspect(stored(craft.good(**everything).raw()))
    assert inspection.manifest is not None
    assert (inspection.manifest.source, inspection.problems) == ("manifest.json", ())
    inspection = inspect(stored(craft.good(**{"agent.yaml": as_json()}).raw()))
    assert inspection.manifest is not None
    assert inspection.manifest.source == ".pixell/package.json"
    inspection = inspect(stored(craft.good(**NONE, **{"agent.yaml": as_json()}).raw()))
    assert inspection.manifest is not None
    assert (inspection.manifest.source, inspection.problems) == ("agent.yaml", ())


def test_missing_is_said_only_when_all_three_are(stored: Store, craft: Any) -> None:
    (problem,) = inspect(stored(craft.good(**NONE).raw())).problems
    assert (problem.code, problem.message) == ("manifest_missing", "Missing required manifest.json")


def test_manifests_that_disagree_are_refused(stored: Store, craft: Any) -> None:
    raw = craft.good(**{"agent.yaml": as_json(name="other", metadata={"version": "9.9.9"})}).raw()
    assert [problem.message for problem in inspect(stored(raw)).problems] == [
        ".pixell/package.json and agent.yaml disagree about the name",
        ".pixell/package.json and agent.yaml disagree about the version",
    ]


def test_the_packages_version_is_that_of_its_metadata(stored: Store, craft: Any) -> None:
    manifest = inspect(stored(craft.good(**{"manifest.json": as_json()}).raw())).manifest
    assert manifest is not None
    assert (manifest.version, manifest.schema_version) == ("1.2.0", "1.0")
    only_top = {**NONE, "manifest.json": as_json(metadata=None, version="3.0.0")}
    inspection = inspect(stored(craft.good(**only_top).raw()))
    assert (inspection.version, inspection.problems) == ("3.0.0", ())


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"name": None}, "name_missing"),
        ({"name": "../../evil"}, "name_invalid"),
        ({"name": "Echo"}, "name_invalid"),
        ({"name": "9lives"}, "name_invalid"),
        ({"name": "a\n"}, "name_invalid"),
        ({"name": ["a"]}, "manifest_field"),
        ({"metadata": None, "version": None}, "version_missing"),
        ({"metadata": {"version": "1/2"}}, "version_invalid"),
        ({"metadata": {"version": ""}}, "version_invalid"),
        ({"metadata": {"version": ".."}}, "version_invalid"),
        ({"entrypoint": None}, "entrypoint_missing"),
        ({"entrypoint": "src.main"}, "entrypoint_invalid"),
        ({"entrypoint": "src/main:handler"}, "entrypoint_invalid"),
        ({"entrypoint": "src.main:"}, "entrypoint_invalid"),
    ],
)
def test_each_fault_of_a_field_is_named(changed: dict[str, object], code: str, stored: Store, craft: Any) -> None:
    raw = craft.good(**NONE, **{"manifest.json": as_json(**changed)}).raw()
    assert [problem.code for problem in inspect(stored(raw)).problems] == [code]


def test_an_agent_with_a_surface_needs_no_entrypoint(stored: Store, craft: Any) -> None:
    document = as_json(entrypoint=None, rest={"entry": "src.rest:mount"})
    inspection = inspect(stored(craft.good(**NONE, **{"manifest.json": document}).raw()))
    assert inspection.problems == ()


def test_what_would_not_run_elsewhere_is_a_warning(stored: Store, craft: Any) -> None:
    document = as_json(entrypoint="main:handler", metadata={"version": "2"})
    inspection = inspect(stored(craft.good(**NONE, **{"manifest.json": document}).raw()))
    assert inspection.problems == ()
    assert [warning.code for warning in inspection.warnings] == ["version_not_semantic", "entrypoint_not_packed"]


@pytest.mark.parametrize(
    ("given", "accepted"), [(None, True), ("1.2.0", True), ("1.2.1", False), ("1.0", False), ("v1.2.0", False)]
)
def test_the_forms_version_must_be_the_packages(
    given: str | None, *, accepted: bool, stored: Store, craft: Any
) -> None:
    problem = check_version(inspect(stored(craft.good().raw())), given)
    assert (problem is None) == accepted
    if problem is not None:
        assert problem.message == f"Version {given} was requested, but the package says 1.2.0"


LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LAUGHS, "aliases"),
        ("[" * 5000, "nested too deeply"),
        ("a: 1\na: 2\n", "a key twice"),
        ("!!python/object/apply:os.system ['true']", "not YAML"),
        ("a: [", "not YAML"),
        ("a: 2001-99-99\n", "cannot read"),
        ("\t", "not YAML"),
        ('a: "x\\0"\n', "no text"),
        ('"\\uD800": 1\n', "no text"),
        ('a: &a [*a, "\\0"]\n', "no text"),
    ],
)
def test_harmful_yaml_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadDocument, match=said):
        parse_yaml(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "a key twice"),
        ("[" * 100_000, "nested too deeply"),
        ("NaN", "does not know"),
        ("9" * 10_000, "too long"),
        ("{", "not JSON"),
        ('{"a": ["x\\u0000"]}', "no text"),
        ('{"\\ud800": 1}', "no text"),
    ],
)
def test_harmful_json_is_refused(text: str, said: str) -> None:
    with pytest.raises(BadDocument, match=said):
        parse_json(text)


@pytest.mark.parametrize("data", [b"[]", b"\xff\xfe", b'"text"', b"{"])
def test_a_manifest_that_cannot_be_read_is_said_so(data: bytes, stored: Store, craft: Any) -> None:
    (problem,) = inspect(stored(craft.good(**NONE, **{"manifest.json": data}).raw())).problems
    assert (problem.code, problem.entry) == ("manifest_invalid", "manifest.json")
