"""`pac verify`: exit 0 sound, 1 broken with the entry named, 2 a wrong call."""

import json
from pathlib import Path

import orjson
import pytest
from typer.testing import CliRunner, Result

from pac.cli.application import build
from pac.contracts.topics import ServiceName
from pac.servicekit.proof.form import key_id
from pac.testkit.proofs import DEPLOYMENT, SIGNERS, content_of


def run(*arguments: str) -> Result:
    return CliRunner().invoke(build(), ["verify", *arguments])


@pytest.fixture
def proof(tmp_path: Path) -> Path:
    file = tmp_path / "proof.json"
    file.write_bytes(content_of("succeeded"))
    return file


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    file = tmp_path / "keys.json"
    pinned = [(service.value, signer.public_key) for service, signer in SIGNERS.items()]
    shown = [{"service": service, "id": key_id(key), "public_key": key.hex()} for service, key in pinned]
    file.write_bytes(orjson.dumps({"keys": shown}))
    return file


def test_a_sound_proof(proof: Path, keys: Path) -> None:
    said = run(str(proof))
    assert (said.exit_code, "succeeded; 5 credits captured" in said.stdout) == (0, True)
    assert "pin them with --keys" in said.stderr
    said = run(str(proof), "--keys", str(keys), "-o", "json")
    told = json.loads(said.stdout)
    assert (said.exit_code, told["sound"], told["pinned"], said.stderr) == (0, True, True, "")
    assert told["keys"].keys() == {service.value for service in SIGNERS}


def test_a_broken_proof_is_named_to_its_field(proof: Path) -> None:
    proof.write_bytes(proof.read_bytes().replace(b'"amount":5', b'"amount":4'))
    said = run(str(proof), "-o", "json")
    told = json.loads(said.stdout)
    assert (said.exit_code, told["sound"]) == (1, False)
    assert told["faults"][0]["stream"] == f"hold-{DEPLOYMENT}"
    assert "hold-" in run(str(proof)).stdout
    proof.write_text("no proof")
    assert run(str(proof)).exit_code == 1


def test_a_proof_with_foreign_keys(proof: Path, keys: Path) -> None:
    only = [key for key in json.loads(keys.read_text())["keys"] if key["service"] != ServiceName.BILLING.value]
    keys.write_text(json.dumps({"keys": only}))
    said = run(str(proof), "--keys", str(keys))
    assert (said.exit_code, "no known key of billing" in said.stdout) == (1, True)


def test_a_wrong_call(proof: Path, tmp_path: Path) -> None:
    assert run(str(tmp_path / "none.json")).exit_code == 2
    assert run(str(proof), "--keys", str(proof)).exit_code == 2
    assert run().exit_code == 2
