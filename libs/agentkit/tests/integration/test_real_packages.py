"""Everything a real `pixell build` makes is accepted, and ours says what pixell's says."""

import json
import os
import subprocess
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pac.agentkit.apkg import check_version, inspect, verify
from pac.agentkit.build import build_package, write_package
from pac.testkit.pixell import Pixell

MIB = 1024 * 1024
PIXELLS_VERDICT = """
import json, sys
from pathlib import Path
import yaml
from pixell.core.validator import AgentValidator
from pixell.models.agent_manifest import AgentManifest

folder = Path(sys.argv[1])
valid, errors, warnings = AgentValidator(folder).validate()
package = AgentManifest(**json.loads((folder / ".pixell/package.json").read_text())["manifest"])
written = AgentManifest(**yaml.safe_load((folder / "agent.yaml").read_text()))
told = {"package": package.model_dump(), "yaml": written.model_dump()}
print(json.dumps({"valid": valid, "errors": errors, "warnings": warnings, **told}))
"""
SURFACES = [("rest",), ("a2a",), ("ui",), ("rest", "a2a", "ui")]


@pytest.fixture
def template(pixell: Pixell, tmp_path: Path) -> Any:
    def make(surfaces: tuple[str, ...]) -> Path:
        chosen = [part for surface in surfaces for part in ("--surface", surface)]
        command = [str(pixell.executable), "init", "demo_agent", *chosen]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
        folder = tmp_path / "demo_agent"
        (folder / ".env").write_text((folder / ".env.example").read_text() + "OPENAI_API_KEY=your-key-here\n")
        return folder

    return make


@pytest.mark.parametrize("surfaces", SURFACES)
def test_what_pixell_makes_of_its_templates_is_accepted(
    surfaces: tuple[str, ...], template: Any, pixell_build: Any
) -> None:
    folder = template(surfaces)
    verification = verify(pixell_build(folder))
    inspection = verification.inspection
    assert (verification.problems, inspection.warnings) == ((), ())
    assert (inspection.name, inspection.version, inspection.env_names) == ("demo-agent", "0.1.0", ("OPENAI_API_KEY",))
    assert inspection.manifest is not None
    assert set(inspection.manifest.surfaces) == set(surfaces)
    assert check_version(inspection, "0.1.0") is None
    assert check_version(inspection, "1.0") is not None


def test_ours_packs_the_same_files_as_pixell(template: Any, pixell_build: Any, tmp_path: Path) -> None:
    folder = template(("rest", "a2a", "ui"))
    theirs, ours = verify(pixell_build(folder)), verify(write_package(folder, tmp_path / "ours.apkg"))
    assert {entry.name for entry in theirs.inspection.entries} == {entry.name for entry in ours.inspection.entries}
    made = {".pixell/package.json", "deploy.json", "setup.py"}
    generated = made | {file.name for file in theirs.files if file.name.endswith("__init__.py")}
    same = [{file for file in one.files if file.name not in generated} for one in (theirs, ours)]
    assert same[0] == same[1]
    ignored = {"source"}
    one, two = theirs.inspection.manifest, ours.inspection.manifest
    assert one is not None
    assert two is not None
    fields = set(type(one).__dataclass_fields__) - ignored
    assert {name: getattr(one, name) for name in fields} == {name: getattr(two, name) for name in fields}


@pytest.mark.parametrize("surfaces", SURFACES)
def test_pixells_own_validator_says_of_ours_what_it_says_of_its_own(
    surfaces: tuple[str, ...], template: Any, pixell: Pixell, pixell_build: Any, tmp_path: Path
) -> None:
    folder = template(surfaces)
    built = build_package(folder, tmp_path / "ours.apkg")
    assert (built.verification.problems, built.verification.inspection.warnings) == ((), ())
    ours, theirs = (_pixells_verdict(pixell, package, tmp_path) for package in (built.path, pixell_build(folder)))
    assert ours == theirs
    # It looks for a folder that its own build has moved to dist/.
    assert ours["errors"] == (["UI path not found: ui"] if "ui" in surfaces else [])
    assert ours["warnings"] == []
    assert ours["package"] == ours["yaml"]


def _pixells_verdict(pixell: Pixell, package: Path, scratch: Path) -> dict[str, Any]:
    folder = scratch / f"unpacked-{package.name}"
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder)
    python = pixell.executable.parent / "python"
    done = subprocess.run([python, "-c", PIXELLS_VERDICT, str(folder)], check=True, capture_output=True, text=True)
    verdict: dict[str, Any] = json.loads(done.stdout)
    return verdict


async def test_what_ours_packs_of_a_template_starts_in_the_local_runtime(
    template: Any, runtime: Any, packages: Any, tmp_path: Path
) -> None:
    folder = template(("rest",))
    (folder / "requirements.txt").write_text("")  # what it installs is another test's
    built = build_package(folder, tmp_path)
    await runtime.deploy("d-1", packages.put("/p.apkg", built.path.read_bytes()))
    assert (await runtime.settled("d-1"))["status"] == "healthy"
    answer = await runtime.invoke("d-1", "tell", {"text": "hello"})
    assert answer["response"]["message"] == "Hello from handler"


def test_a_package_near_the_limit_of_an_upload_is_accepted(make_folder: Any, pixell_build: Any) -> None:
    folder = make_folder()
    (folder / "core").mkdir()
    (folder / "core/padding.bin").write_bytes(os.urandom(95 * MIB))
    package = pixell_build(folder)
    assert 95 * MIB < package.stat().st_size < 100 * MIB
    verification = verify(package)
    assert verification.problems == ()
    assert verification.unpacked_bytes > 95 * MIB


def test_odd_but_real_contents_are_accepted(make_folder: Any, pixell_build: Any) -> None:
    folder = make_folder(
        env="A='quoted # value'\nexport B=2\nNOVALUE\nMULTI=\"a\nb\"\n",
        more={
            "src/données/été.txt": "é",
            "src/empty.py": "",
            "src/deep/er/and/deeper/x.py": "",
            "core/a.py": "",
            "README.md": "# r",
            "LICENSE": "x",
            "agents_config.json": "{}",
        },
    )
    (folder / "src" / "blank.bin").write_bytes(b"\0" * 300_000)
    (folder / "src" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "src" / "run.sh").chmod(0o755)
    (folder / "src" / "link.py").symlink_to("main.py")
    verification = verify(pixell_build(folder))
    assert verification.problems == ()
    assert verification.inspection.env_names == ("A", "B", "MULTI")


def test_pixell_refuses_what_we_refuse_without_env(make_folder: Any, pixell: Pixell, tmp_path: Path) -> None:
    folder = make_folder()
    (folder / ".env").unlink()
    command = [pixell.executable, "build", "-p", folder, "-o", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "Missing required .env file at project root" in done.stdout


def test_ten_thousand_entries_are_inspected_quickly(tmp_path: Path, make_folder: Any) -> None:
    package = write_package(make_folder(), tmp_path / "large.apkg")
    with zipfile.ZipFile(package, "a", zipfile.ZIP_DEFLATED) as archive:
        for number in range(9_980):
            archive.writestr(f"src/folder{number % 100}/file{number}.txt", b"x")

    seconds = min(_timed(package) for _ in range(3))
    assert seconds < 0.5, f"took {seconds:.3f} s of processor time; about 0.08 s is usual"


def _timed(package: Path) -> float:
    began = time.process_time()
    assert inspect(package).problems == ()
    return time.process_time() - began
