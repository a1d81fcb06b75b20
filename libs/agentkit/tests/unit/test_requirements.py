"""What a package declares that it needs, and the bill of materials that is made of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pac.agentkit.apkg import Dependency, Limits, inspect
from pac.agentkit.apkg.requirements import declared, without_credentials
from pac.agentkit.sbom import Subject, bill_of_materials

SUBJECT = Subject("echo-agent", "1.2.0", "ab" * 32, "2026-11-25T12:00:00Z", "Echoes", "MIT", "A. Author")
REQUIREMENTS = b"""\
# what it needs
HTTPX[http2] >= 0.28, <1  # a comment
pydantic==2.14.3 \\
    --hash=sha256:abc
typing_extensions; python_version < "3.12"
wheel @ https://user:hunter2@files.example.com/wheel-1.0-py3-none-any.whl?token=hunter2
-e .
--extra-index-url https://user:hunter2@example.com/simple
./local/folder

numpy==2.*
"""
FOUND = (
    Dependency("httpx", "<1,>=0.28", extras=("http2",)),
    Dependency("pydantic", "==2.14.3", version="2.14.3"),
    Dependency("typing-extensions", marker='python_version < "3.12"'),
    Dependency("wheel", url="https://files.example.com/wheel-1.0-py3-none-any.whl"),
    Dependency("numpy", "==2.*"),
)


def test_each_requirement_is_read_and_no_credential_is_kept() -> None:
    asked = declared(REQUIREMENTS, None, Limits())
    assert asked.dependencies == FOUND
    assert [(warning.code, warning.message.partition(": ")[2][:13]) for warning in asked.warnings] == [
        ("secret_like_value", "requirement 6"),
        ("secret_like_value", "requirement 8"),
        ("requirement_not_read", "requirement 9"),
    ]
    assert "hunter2" not in repr(asked)


def test_the_manifests_dependencies_count_where_there_is_no_file(stored: Callable[[bytes], Path], craft: Any) -> None:
    said = {"name": "echo-agent", "version": "1.0.0", "entrypoint": "src.main:handler", "dependencies": ["httpx>=0.28"]}
    manifest = {"manifest.json": json.dumps(said).encode(), ".pixell/package.json": None}
    alone = inspect(stored(craft.good(**manifest).raw()))
    assert [dependency.name for dependency in alone.dependencies] == ["httpx"]
    beside = inspect(stored(craft.good(**manifest, **{"requirements.txt": b"flask\n"}).raw()))
    assert [dependency.name for dependency in beside.dependencies] == ["flask"]


@pytest.mark.parametrize(
    "line", ["a b c", "../x", "x; python_version == '\0'", "==1.0", "x[", "x @ ", "\u202ex", "x>=", "x ~= y"]
)
def test_a_line_that_is_none_is_told_by_its_number(line: str) -> None:
    asked = declared(f"ok\n{line}\n".encode(), None, Limits())
    assert [dependency.name for dependency in asked.dependencies] == ["ok"]
    assert [warning.code for warning in asked.warnings] == ["requirement_not_read"]
    assert "requirement 2" in asked.warnings[0].message


def test_only_so_many_are_kept() -> None:
    asked = declared("".join(f"x{number}\n" for number in range(5000)).encode(), None, Limits(dependencies=10))
    assert len(asked.dependencies) == 10


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("httpx>=1", "httpx>=1"),
        ("a @ https://u:p@h/x.whl", "a @ https://h/x.whl"),
        ("a @ git+https://token@h/x.git", "a @ git+https://h/x.git"),
        ("a @ https://h/x.whl?sig=1#frag", "a @ https://h/x.whl"),
    ],
)
def test_an_address_is_shown_without_who_asks(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize("dependencies", [(), FOUND, (Dependency("a"), Dependency("a"))])
def test_the_bill_is_valid_by_the_published_schema(dependencies: tuple[Dependency, ...]) -> None:
    bill = bill_of_materials(SUBJECT, dependencies)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(bill)) is None
    assert bill == bill_of_materials(SUBJECT, dependencies)
    assert [component["name"] for component in bill["components"]] == [one.name for one in dependencies]


def test_the_bill_names_versions_only_where_one_is_pinned() -> None:
    components = {one["name"]: one for one in bill_of_materials(SUBJECT, FOUND)["components"]}
    assert components["pydantic"]["purl"] == "pkg:pypi/pydantic@2.14.3"
    assert components["httpx"]["purl"] == "pkg:pypi/httpx"
    assert "version" not in components["httpx"]
    assert components["httpx"]["properties"] == [
        {"name": "pac:requirement:specifier", "value": "<1,>=0.28"},
        {"name": "pac:requirement:extras", "value": "http2"},
    ]
    assert components["wheel"]["externalReferences"][0]["type"] == "distribution"
