"""Manifests that are missing, are not what they say, or try to do harm by being read."""

import json
from collections.abc import Mapping
from typing import Any

from pac.testkit.corpus.case import Case, case
from pac.testkit.crafted import Part, Zip, package

JSON, PIXELL, YAML = "manifest.json", ".pixell/package.json", "agent.yaml"
GOOD: Mapping[str, Any] = {
    "version": "1.0",
    "name": "echo-agent",
    "entrypoint": "src.main:handler",
    "metadata": {"version": "1.2.0"},
}
YAML_GOOD = "version: '1.0'\nname: echo-agent\nentrypoint: src.main:handler\nmetadata: {version: 1.2.0}\n"


def only(name: str, content: bytes | str) -> Zip:
    """A package with this manifest and no other."""
    return package(Part(name, content if isinstance(content, bytes) else content.encode()), without=[PIXELL])


def saying(**changed: Any) -> Zip:
    return only(JSON, json.dumps({**GOOD, **changed}))


def beside(source: str, /, **changed: Any) -> Zip:
    """A package with another manifest beside its own."""
    return package(Part(source, json.dumps({**GOOD, **changed}).encode()))


UNREADABLE: Mapping[str, bytes | str] = {
    "empty": b"",
    "a list": b"[]",
    "a text": b'"echo-agent"',
    "a number": b"1",
    "null": b"null",
    "cut short": b'{"name": "echo-agent"',
    "not UTF-8": b'{"name": "\xff"}',
    "UTF-16": json.dumps(dict(GOOD)).encode("utf-16"),
    "a key given twice": b'{"name": "echo-agent", "name": "other"}',
    "a number that is none": b'{"name": NaN}',
    "nested a hundred thousand deep": b"[" * 100_000,
    "a number of ten thousand digits": b"9" * 10_000,
    "a NUL in a text": b'{"name": "a\\u0000b"}',
    "half of a pair in a text": b'{"name": "a\\ud800"}',
    "larger than allowed": json.dumps({**GOOD, "description": "x" * 300_000}),
    "a program": b"MZ" + bytes(100),
    "a page": b"<html>",
}
UNREADABLE_YAML: Mapping[str, bytes | str] = {
    "empty": b"",
    "a list": b"- a\n",
    "a billion laughs": "a0: &a0 [x, x]\n"
    + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
    "thirty aliases": f"{YAML_GOOD}x: &x [1]\ny: [{', '.join(['*x'] * 30)}]\n",
    "merges of merges": f"{YAML_GOOD}m: &m {{a: 1}}\n" + "".join(f"k{n}: {{<<: *m}}\n" for n in range(30)),
    "an object to be made": f"{YAML_GOOD}x: !!python/object/apply:os.system ['true']\n",
    "an unknown tag": f"{YAML_GOOD}x: !secret y\n",
    "a key given twice": f"{YAML_GOOD}name: other\n",
    "two documents": f"{YAML_GOOD}---\n{YAML_GOOD}",
    "nested deeply": "[" * 5000,
    "nested deeply by indents": "".join(f"{' ' * n}a:\n" for n in range(100)),
    "too many values": f"{YAML_GOOD}x: [{'1,' * 6000}]\n",
    "a date that is none": f"{YAML_GOOD}x: 2001-99-99\n",
    "a tab": f"{YAML_GOOD}\tx: 1\n",
    "a NUL": f'{YAML_GOOD}x: "a\\0"\n',
    "an alias to nothing": f"{YAML_GOOD}x: *nobody\n",
    "a key that is a list": f"{YAML_GOOD}? [a]\n: 1\n",
    "larger than allowed": f"{YAML_GOOD}description: {'x' * 70_000}\n",
}
WRONG_FIELDS: Mapping[str, tuple[dict[str, Any], str]] = {
    "no name": ({"name": None}, "name_missing"),
    "an empty name": ({"name": ""}, "name_missing"),
    "a name that leaves": ({"name": "../../evil"}, "name_invalid"),
    "a name in capitals": ({"name": "Echo"}, "name_invalid"),
    "a name with an underscore": ({"name": "echo_agent"}, "name_invalid"),
    "a name that begins with a digit": ({"name": "9lives"}, "name_invalid"),
    "a name of two lines": ({"name": "echo\nagent"}, "name_invalid"),
    "a name with a newline behind": ({"name": "echo\n"}, "name_invalid"),
    "a name with an accent": ({"name": "caf\u00e9"}, "name_invalid"),
    "a long name": ({"name": "a" * 101}, "name_invalid"),
    "a name that is a number": ({"name": 5}, "name_invalid"),
    "a name that is a list": ({"name": ["echo-agent"]}, "manifest_field"),
    "a name that is an object": ({"name": {"a": 1}}, "manifest_field"),
    "a name that is true": ({"name": True}, "manifest_field"),
    "no version": ({"metadata": {}, "version": None}, "version_missing"),
    "an empty version": ({"metadata": {"version": ""}}, "version_invalid"),
    "a version that is a path": ({"metadata": {"version": "1/2"}}, "version_invalid"),
    "a version that leaves": ({"metadata": {"version": "1..2"}}, "version_invalid"),
    "a version with a backslash": ({"metadata": {"version": "1\\2"}}, "version_invalid"),
    "a version with spaces around": ({"metadata": {"version": " 1.0.0"}}, "version_invalid"),
    "a version of two lines": ({"metadata": {"version": "1.0\n2.0"}}, "version_invalid"),
    "a long version": ({"metadata": {"version": "1" * 129}}, "version_invalid"),
    "a version that is a list": ({"metadata": {"version": [1, 2, 0]}}, "manifest_field"),
    "metadata that are a text": ({"metadata": "1.2.0"}, "manifest_field"),
    "metadata that are a list": ({"metadata": ["1.2.0"]}, "manifest_field"),
    "tags that are a text": ({"metadata": {"version": "1.2.0", "tags": "a"}}, "manifest_field"),
    "no entrypoint": ({"entrypoint": None}, "entrypoint_missing"),
    "an entrypoint without a function": ({"entrypoint": "src.main"}, "entrypoint_invalid"),
    "an entrypoint that is a path": ({"entrypoint": "src/main:handler"}, "entrypoint_invalid"),
    "an entrypoint that leaves": ({"entrypoint": "..main:handler"}, "entrypoint_invalid"),
    "an entrypoint with a call": ({"entrypoint": "src.main:handler()"}, "entrypoint_invalid"),
    "an entrypoint that is a list": ({"entrypoint": ["src.main:handler"]}, "manifest_field"),
    "an environment that is a list": ({"environment": ["A=1"]}, "manifest_field"),
    "an environment of lists": ({"environment": {"A": ["1"]}}, "manifest_field"),
    "dependencies that are a text": ({"dependencies": "httpx"}, "manifest_field"),
    "dependencies that are numbers": ({"dependencies": [1]}, "manifest_field"),
    "capabilities that are an object": ({"capabilities": {"a": 1}}, "manifest_field"),
    "a surface that is true": ({"rest": True}, "manifest_field"),
    "a surface that is a text": ({"ui": "dist"}, "manifest_field"),
}

MANIFESTS: tuple[Case, ...] = (
    *(case(f"manifest.json: {what}", only(JSON, content), "manifest_invalid") for what, content in UNREADABLE.items()),
    *(
        case(f"agent.yaml: {what}", only(YAML, content), "manifest_invalid")
        for what, content in UNREADABLE_YAML.items()
    ),
    *(case(f"manifest: {what}", saying(**changed), code) for what, (changed, code) in WRONG_FIELDS.items()),
    case("no manifest", package(without=[PIXELL]), "manifest_missing"),
    case("a manifest in a folder", package(Part("src/manifest.json", b"{}"), without=[PIXELL]), "manifest_missing"),
    case("a manifest in capitals", package(Part("Manifest.json", b"{}"), without=[PIXELL]), "manifest_missing"),
    case("another name for the runtime", beside(YAML, name="other"), "manifests_disagree"),
    case("another version for the runtime", beside(YAML, metadata={"version": "9.9.9"}), "manifests_disagree"),
    case("another entrypoint for the runtime", beside(YAML, entrypoint="src.evil:handler"), "manifests_disagree"),
    case("a runtime's manifest that is broken", package(Part(YAML, b"a: [")), "manifest_invalid"),
    case("a runtime's manifest with a wrong field", beside(YAML, name=[1]), "manifest_field"),
    case("two wrong fields", saying(name=[1], entrypoint={}), "manifest_field"),
    # Sound, if odd.
    case("a mark of byte order", only(JSON, b"\xef\xbb\xbf" + json.dumps(dict(GOOD)).encode())),
    case("agent.yaml alone", only(YAML, YAML_GOOD)),
    case("all three", package(Part(JSON, json.dumps(dict(GOOD)).encode()), Part(YAML, YAML_GOOD.encode()))),
    case("fields that nobody knows", saying(anything={"a": [1, {"b": None}]})),
    case("nulls", saying(description=None, dependencies=None, rest=None, environment=None, mcp=None)),
    case("an environment of numbers", saying(environment={"PORT": 8080, "DEBUG": True, "EMPTY": None})),
    case("a surface instead of an entrypoint", saying(entrypoint=None, rest={"entry": "src.rest:mount"})),
    case("a version that is a number", only(YAML, YAML_GOOD.replace("1.2.0", "1.5")), warns=("version_not_semantic",)),
    case("a version that is not semantic", saying(metadata={"version": "2"}), warns=("version_not_semantic",)),
    case("a version at the top", saying(metadata=None, version="3.0.0")),
    case("an entrypoint elsewhere", saying(entrypoint="main:handler"), warns=("entrypoint_not_packed",)),
)
