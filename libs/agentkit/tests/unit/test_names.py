"""No accepted name can leave its folder, and every harmless one is accepted."""

import os
from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pac.agentkit.apkg import Limits
from pac.agentkit.apkg.names import clashes, name_problems, same_place, shown

LIMITS = Limits()


def codes(name: str) -> set[str]:
    return {problem.code for problem in name_problems(name, LIMITS)}


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("", "name_empty"),
        ("/", "name_empty"),
        ("/etc/passwd", "name_absolute"),
        ("//server/share", "name_absolute"),
        ("../evil", "name_parent"),
        ("a/../../b", "name_parent"),
        ("a/..", "name_parent"),
        ("..\\evil", "name_backslash"),
        ("..\\evil", "name_parent"),
        ("C:/x", "name_drive"),
        ("c:x", "name_drive"),
        ("a\0b", "name_control"),
        ("a\nb", "name_control"),
        ("a\x85b", "name_control"),
        ("a//b", "name_odd"),
        ("./a", "name_odd"),
        ("src/NUL", "name_device"),
        ("aux.py", "name_device"),
        ("com1.txt", "name_device"),
        ("x" * 300, "name_long"),
        ("a/" * 600 + "b", "name_long"),
        ("a/" * 70 + "b", "name_deep"),
    ],
)
def test_each_fault_is_named(name: str, code: str) -> None:
    assert code in codes(name)


@pytest.mark.parametrize(
    "name",
    [
        ".env",
        "src/main.py",
        "src/",
        "a..b",
        "...",
        "nullable.py",
        "console.py",
        "src/café (1).py",
        "日本/語.txt",
        "ab:c",
    ],
)
def test_harmless_names_are_accepted(name: str) -> None:
    assert codes(name) == set()


@given(st.text(st.characters(), max_size=60))
@example("a/./..//b")
@example("C:..")
def test_an_accepted_name_stays_in_its_folder_on_every_system(name: str) -> None:
    if codes(name):
        return
    posix = os.path.normpath(f"/root/{name}")
    assert posix.startswith("/root/")
    assert posix == f"/root/{name}".rstrip("/")
    assert not PurePosixPath(name).is_absolute()
    windows = PureWindowsPath(name)
    assert not windows.drive
    assert not windows.root
    assert ".." not in windows.parts
    assert name.encode("utf-8").decode("utf-8") == name
    assert "\0" not in name


@given(st.lists(st.from_regex(r"[a-z0-9_]{3,9}(\.py)?", fullmatch=True), min_size=1, max_size=5))
def test_ordinary_paths_are_never_refused(parts: list[str]) -> None:
    reserved = ("con", "prn", "aux", "nul", "com", "lpt")
    if not any(part.startswith(reserved) for part in parts):
        assert codes("/".join(parts)) == set()


@given(st.text(max_size=400))
def test_a_shown_name_is_printable_and_short(name: str) -> None:
    text = shown(name)
    assert text.isprintable()
    assert len(text) <= 160


@given(st.text(max_size=20))
def test_case_does_not_make_another_place(name: str) -> None:
    assert same_place(name.upper().lower()) == same_place(name.upper().lower().upper().lower())


def test_a_clash_names_both() -> None:
    (problem,) = clashes(["a/B.py", "A/b.py"])
    assert (problem.code, problem.message) == ("clashing_entry", "A/b.py and a/B.py are one file on some systems")
