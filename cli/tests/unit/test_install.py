"""`pac run`, `pac config env`: the secrets of a new installation are such as its services accept."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pac.cli.application import build
from pac.cli.commands.install import Process
from pac.cli.databases import Service
from pac.cli.local.generated import of_servers, of_services
from pac.gateway.settings import Settings as GatewaySettings
from pac.packages.settings import Settings as PackagesSettings
from pac.runtime_notifier.settings import Settings as NotifierSettings
from pac.servicekit.identity import IdentitySigner
from pac.servicekit.settings import read_settings


def test_every_service_and_the_runtime_can_be_run() -> None:
    assert {process.value for process in Process} == {*(service.value for service in Service), "runtime"}


def test_what_is_printed_are_lines_of_an_environment_file() -> None:
    said = CliRunner().invoke(build(), ["config", "env"])
    names = [line.partition("=")[0] for line in said.output.splitlines()]
    assert names == [*of_services(), *of_servers()]
    only = CliRunner().invoke(build(), ["config", "env", "--no-servers"])
    assert [line.partition("=")[0] for line in only.output.splitlines()] == [*of_services()]


def test_no_two_installations_share_a_secret() -> None:
    first, second = of_services() | of_servers(), of_services() | of_servers()
    assert {name for name, value in first.items() if second[name] == value} == {"AWS_ACCESS_KEY_ID"}


def test_services_accept_what_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith(("GATEWAY_", "PACKAGES_", "RUNTIME_NOTIFIER_")):
            monkeypatch.delenv(name)
    for name, value in of_services().items():
        monkeypatch.setenv(name, value)
    for service in ("GATEWAY", "PACKAGES", "RUNTIME_NOTIFIER"):
        monkeypatch.setenv(f"{service}_DATABASE_URL", "postgresql://one@127.0.0.1/one")
    for neighbour in ("PACKAGES", "DEPLOYMENTS", "BILLING", "RUNTIME_NOTIFIER"):
        monkeypatch.setenv(f"GATEWAY_{neighbour}_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("RUNTIME_NOTIFIER_RUNTIME_URL", "http://127.0.0.1:1")
    gateway = read_settings(GatewaySettings)
    read_settings(PackagesSettings)
    read_settings(NotifierSettings)
    IdentitySigner.from_base64(gateway.identity_key.get_secret_value())


def test_without_an_admin_key_no_account_is_opened(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PAC_GATEWAY_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("PAC_ADMIN_KEY", raising=False)
    said = CliRunner().invoke(build(), ["accounts", "create", "one", "--state-dir", str(tmp_path)])
    assert (said.exit_code, "PAC_ADMIN_KEY is not set" in said.stderr) == (1, True), said.output
