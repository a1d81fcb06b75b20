"""Warnings about .env name keys and rules, never values, and leave placeholders alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pac.agentkit.apkg import inspect
from pac.agentkit.apkg.hygiene import is_absolute_path, secret_rule


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("OPENAI_API_KEY", "sk-proj-4f9a8b7c6d5e4f3a2b1c", "sk-"),
        ("OTHER", "sk-ant-api03-abcdef", "sk-"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "AWS_SECRET_ACCESS_KEY"),
        ("KEY", "-----BEGIN RSA PRIVATE KEY-----\nMIIE", "-----BEGIN"),
        ("PAC", "pac_0123456789abcdefghij0123456789ab000000", "pac_"),
        ("OPENAI_API_KEY", "your-key-here", None),
        ("OPENAI_API_KEY", "sk-your-key-here", None),
        ("OPENAI_API_KEY", "sk-...", None),
        ("OPENAI_API_KEY", "sk-xxxxxxxx", None),
        ("OPENAI_API_KEY", "<your key>", None),
        ("OPENAI_API_KEY", "changeme", None),
        ("OPENAI_API_KEY", "", None),
        ("AWS_SECRET_ACCESS_KEY", "your-secret-here", None),
        ("AWS_SECRET_ACCESS_KEY", "", None),
        ("AWS_SECRET_ACCESS_KEY", "${FROM_DEPLOY}", None),
        ("TASK", "task-list", None),
        ("HOST", "0.0.0.0", None),  # noqa: S104 - a value in a file
    ],
)
def test_secrets_and_placeholders_are_told_apart(key: str, value: str, rule: str | None) -> None:
    assert secret_rule(key, value) == rule


@pytest.mark.parametrize(
    ("value", "absolute"),
    [
        ("/Users/me/data", True),
        ("/home/me", True),
        ("/var/lib/x", True),
        ("C:\\data", True),
        ("D:/data", True),
        ("/tmp", False),  # noqa: S108 - a value in a file
        ("/tmp/work", False),  # noqa: S108 - a value in a file
        ("/tmpfiles", True),  # noqa: S108 - a value in a file
        ("./data", False),
        ("data/x", False),
        ("/", False),
        ("https://host/path", False),
    ],
)
def test_absolute_paths_are_seen(value: str, *, absolute: bool) -> None:
    assert is_absolute_path(value) == absolute


def test_warnings_carry_names_and_rules_and_no_value(stored: Callable[[bytes], Path], craft: Any) -> None:
    env = b"OPENAI_API_KEY=sk-live-0123456789\nDATA=/home/someone/data\nPLAIN=hello\n"
    inspection = inspect(stored(craft.good(**{".env": env}).raw()))
    assert inspection.problems == ()
    assert [(warning.code, warning.message) for warning in inspection.warnings] == [
        ("secret_like_value", ".env: OPENAI_API_KEY looks like a secret (rule sk-)"),
        ("absolute_path", ".env: DATA is an absolute path, which ties the package to one machine"),
    ]
    assert "0123456789" not in repr(inspection)
    assert "someone" not in repr(inspection)


def test_an_env_that_no_process_can_hold_is_refused(stored: Callable[[bytes], Path], craft: Any) -> None:
    for env in (b"A=x\0y\n", b"A\0B=sk-live-0123456789\n"):
        inspection = inspect(stored(craft.good(**{".env": env}).raw()))
        assert [problem.code for problem in inspection.problems] == ["env_unusable"]
        assert "\0" not in repr((inspection.env_names, inspection.warnings, inspection.problems))
        assert "0123456789" not in repr(inspection)


def test_env_must_be_at_the_root(stored: Callable[[bytes], Path], craft: Any) -> None:
    (problem,) = inspect(stored(craft.good(**{".env": None, "src/.env": b"A=1\n"}).raw())).problems
    assert (problem.code, problem.message) == ("env_missing", "Missing required .env file at project root")
    assert problem.hint is not None
    assert "Create a `.env`" in problem.hint
