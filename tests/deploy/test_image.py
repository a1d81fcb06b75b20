"""The steps of the Dockerfile, run in a clean folder from the same lines; then what they built is started."""

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from .dockerfile import Folder, stages
from .places import DEPLOY, ROOT

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]
SERVICES = ("gateway", "packages", "deployments", "billing", "runtime-notifier")


@pytest.fixture(scope="module")
def pac(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `pac` that the first stage built."""
    folder = Folder(tmp_path_factory.mktemp("image"), ROOT)
    folder.run(stages((DEPLOY / "Dockerfile").read_text())[0])
    return folder.root / "opt/pac/bin/pac"


def started(pac: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean: Mapping[str, str] = {"PATH": os.defpath, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [pac, *arguments], env={**clean, **environment}, cwd="/", capture_output=True, text=True, check=False
    )


def test_nothing_of_the_checkout_is_needed(pac: Path) -> None:
    code = "import pac.cli, pac.gateway, json; print(json.dumps([*pac.cli.__path__, *pac.gateway.__path__]))"
    said = subprocess.check_output([pac.parent / "python", "-c", code], cwd="/", text=True)
    assert all(path.startswith(str(pac.parents[1])) for path in json.loads(said)), said


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_comes_as_far_as_its_settings(pac: Path, service: str) -> None:
    ended = started(pac, "run", service)
    assert ended.returncode == 2, ended.stderr
    assert f"{service.replace('-', '_').upper()}_DATABASE_URL is not set" in ended.stderr


def test_the_local_runtime_comes_as_far_as_its_settings(pac: Path) -> None:
    ended = started(pac, "run", "runtime")
    assert (ended.returncode, "setting_invalid" in ended.stdout) == (2, True), ended.stderr


def test_operators_commands_work_without_what_pac_up_starts(pac: Path) -> None:
    assert started(pac, "--help").returncode == 0
    made = started(pac, "config", "env")
    assert "GATEWAY_ADMIN_KEY=" in made.stdout, made.stderr
    nowhere = started(pac, "migrate", BILLING_DATABASE_URL="postgresql://billing@127.0.0.1:9/billing")
    assert (nowhere.returncode, "the database of billing could not be migrated" in nowhere.stderr) == (1, True)
