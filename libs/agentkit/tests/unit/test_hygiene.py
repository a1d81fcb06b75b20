"""Warnings about .env name keys and rules, never values, and leave placeholders alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pac.agentkit.apkg import inspect
from pac.agentkit.apkg.addresses import address_rule, is_absolute_path
from pac.agentkit.apkg.credentials import secret_rule


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("OPENAI_API_KEY", "sk-proj-4f9a8b7c6d5e4f3a2b1c", "sk-"),
        ("OTHER", "sk-ant-api03-abcdef", "sk-"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYDIFFERENTS", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None),  # the documentation's
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
        ("file:///home/me/x", True),
        ("file:///tmp/x", False),
        ("-Xmx1g -Dlog=/Users/me/log", True),
        ("/dev/null", False),
        ("~/data", False),
    ],
)
def test_absolute_paths_are_seen(value: str, *, absolute: bool) -> None:
    assert is_absolute_path(value) == absolute


@pytest.mark.parametrize(
    ("name", "value", "absolute"),
    [
        ("API_PREFIX", "/api/v1", False),
        ("HEALTH_PATH", "/healthz", False),
        ("CALLBACK_URL", "/auth/callback", False),
        ("BASE_PATH", "/home/me/agent", True),
        ("INSTALL_PREFIX", "/opt/agent", True),
        ("DATA_PATH", "/api/v1", True),
    ],
)
def test_the_path_of_an_address_is_told_from_that_of_a_machine(name: str, value: str, *, absolute: bool) -> None:
    assert is_absolute_path(value, name) == absolute


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("HOST", "0.0.0.0", None),  # noqa: S104 - what the specification asks for
        ("HOST", "::", None),
        ("LISTEN", "0.0.0.0:8080", None),
        ("HOST", "127.0.0.1", "localhost"),
        ("BIND", "127.0.0.1:8000", "localhost"),
        ("HOST", "localhost", "localhost"),
        ("BIND", "[::1]:8080", "localhost"),
        ("BIND", "192.168.1.20", "IP address"),
        ("BIND", "fe80::1", "IP address"),
        ("DB_HOST", "localhost", "localhost"),
        ("DB_HOST", "10.0.0.5", "IP address"),
        ("DB_HOST", "db", None),
        ("DB_HOST", "db.internal.example.com", None),
        ("DATABASE_URL", "postgres://app@localhost:5432/app", "localhost"),
        ("DATABASE_URL", "postgresql+psycopg://app:x@10.1.2.3/app", "IP address"),
        ("JDBC", "jdbc:postgresql://127.0.0.1:5432/app", "localhost"),
        ("API", "http://api.localhost:3000", "localhost"),
        ("API", "https://api.example.com/v1?next=localhost", None),
        ("BROKERS", "kafka-1:9092,10.0.0.7:9092", "IP address"),
        ("BROKERS", "kafka-1:9092, kafka-2:9092", None),
        ("ALLOWED_HOSTS", "localhost,127.0.0.1", None),
        ("NO_PROXY", "localhost,127.0.0.1", None),
        ("VERSION", "1.2.3.4", None),
        ("SUBNET", "10.0.0.0/8", None),
        ("NETWORK", "10.0.0.0/8", None),
        ("TIME", "12:30", None),
        ("PORT", "8080", None),
        ("NOTE", "runs on localhost when tested", "localhost"),
        ("TIMES", "::ffff:1:2:3:4:5:6:7", None),
    ],
)
def test_addresses_of_one_machine_are_seen(name: str, value: str, rule: str | None) -> None:
    assert address_rule(name, value) == rule


def test_the_environment_of_the_manifest_is_looked_at_as_well(stored: Callable[[bytes], Path], craft: Any) -> None:
    manifest = (
        b'{"name": "echo-agent", "version": "1.2.0", "entrypoint": "src.main:handler",'
        b' "environment": {"OPENAI_API_KEY": "sk-live-0123456789", "a\\nb": "sk-live-0123456789"}}'
    )
    inspection = inspect(stored(craft.good(**{"manifest.json": manifest, ".pixell/package.json": None}).raw()))
    assert inspection.problems == ()
    assert [(warning.code, warning.entry) for warning in inspection.warnings] == [
        ("secret_like_value", "manifest.json")
    ]


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
