"""`pac secrets`: no value on the command line, and keys that are named by the environment."""

import base64
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pac.cli.application import build

VALUE = "hunter22"


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PAC_GATEWAY_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("PAC_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("PAC_APP_ID", "app")
    for name in ("PAC_API_KEY", "RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY", "RUNTIME_NOTIFIER_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


def test_a_value_on_the_command_line_is_refused_and_not_repeated() -> None:
    said = CliRunner().invoke(build(), ["secrets", "set", f"API_TOKEN={VALUE}"])
    assert (said.exit_code, "pac secrets set API_TOKEN < FILE" in said.stderr) == (2, True), said.output
    assert VALUE not in said.output


@pytest.mark.parametrize("key", ["API_TOKEN", "API_TOKEN=-"])
def test_a_value_comes_on_stdin(key: str) -> None:
    said = CliRunner().invoke(build(), ["secrets", "set", key], input=f"{VALUE}\n")
    assert (said.exit_code, "PAC_API_KEY is not set" in said.stderr) == (1, True), said.output
    assert VALUE not in said.output


@pytest.mark.parametrize("arguments", [[], ["API_TOKEN", "--all"]])
def test_what_is_deleted_has_to_be_said(arguments: list[str]) -> None:
    assert CliRunner().invoke(build(), ["secrets", "delete", *arguments]).exit_code == 2


def test_rekey_needs_the_key() -> None:
    said = CliRunner().invoke(build(), ["secrets", "rekey"])
    assert (said.exit_code, "RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY is not set" in said.stderr) == (1, True), said.output


def test_rekey_says_which_key_is_none_and_not_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME_NOTIFIER_KEY_ENCRYPTION_KEY", base64.b64encode(VALUE.encode()).decode())
    said = CliRunner().invoke(build(), ["secrets", "rekey"])
    assert (said.exit_code, "must be base64 of exactly 32 bytes" in said.stderr) == (1, True), said.output
    assert base64.b64encode(VALUE.encode()).decode() not in said.output
