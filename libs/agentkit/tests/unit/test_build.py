"""write_package packs as pixell does, and always into the same bytes."""

import os
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pac.agentkit.apkg import inspect, verify
from pac.agentkit.build import BuildFailed, build_package, write_package


def test_the_same_folder_gives_the_same_bytes(make_folder: Any, tmp_path: Path) -> None:
    one, two = make_folder(), make_folder()
    os.utime(two / "src/main.py", (1, 1))
    (two / "src/main.py").chmod(0o600)
    (two / "src/__pycache__").mkdir()
    (two / "src/__pycache__/main.pyc").write_bytes(b"x")
    first, second = write_package(one, tmp_path / "1.apkg"), write_package(two, tmp_path / "2.apkg")
    assert first.read_bytes() == second.read_bytes()


def test_what_it_makes_is_accepted_and_named_after_the_agent(make_folder: Any, tmp_path: Path) -> None:
    path = write_package(make_folder(), tmp_path)
    assert path.name == "echo-agent-1.2.0.apkg"
    verification = verify(path)
    assert (verification.problems, verification.inspection.warnings) == ((), ())
    assert {file.name for file in verification.files} == {
        ".env",
        ".pixell/package.json",
        "agent.yaml",
        "deploy.json",
        "requirements.txt",
        "setup.py",
        "src/__init__.py",
        "src/main.py",
    }


def test_surfaces_are_copied_to_dist(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(more={"src/rest/index.py": "def mount(app): ...\n", "ui/index.html": "<p>"})
    with (folder / "agent.yaml").open("a") as file:
        file.write("rest: {entry: 'src.rest.index:mount'}\nui: {path: ui}\n")
    inspection = inspect(write_package(folder, tmp_path / "p.apkg"))
    assert {"dist/rest/index.py", "dist/ui/index.html"} <= {entry.name for entry in inspection.entries}
    assert inspection.manifest is not None
    assert inspection.manifest.surfaces == ("rest", "ui")


@pytest.mark.parametrize(("missing", "said"), [(".env", "Missing required .env"), ("agent.yaml", "agent.yaml")])
def test_what_is_missing_is_named_and_no_file_is_left(
    missing: str, said: str, make_folder: Any, tmp_path: Path
) -> None:
    folder = make_folder()
    (folder / missing).unlink()
    with pytest.raises(BuildFailed, match=said):
        write_package(folder, tmp_path / "p.apkg")
    assert not list(tmp_path.glob("*.apkg"))
    assert not list(tmp_path.glob(".building*"))


def test_nothing_outside_of_the_folder_is_packed(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(more={"core/x.py": ""})
    (tmp_path / "outside.txt").write_text("not the agent's")
    (folder / "src/out.txt").symlink_to(tmp_path / "outside.txt")
    (folder / "src/above").symlink_to("..")
    (folder / "core/again").symlink_to("../core")
    (folder / "src/nowhere").symlink_to("gone")
    os.mkfifo(folder / "src/pipe")
    with (folder / "agent.yaml").open("a") as file:
        file.write("ui: {path: '..'}\n")
    with pytest.raises(BuildFailed) as failed:
        write_package(folder, tmp_path / "p.apkg")
    assert {(problem.code, problem.entry) for problem in failed.value.problems} == {
        ("link_loops", "src/above"),
        ("special_file", "src/nowhere"),
        ("link_leaves", "src/out.txt"),
        ("special_file", "src/pipe"),
        ("link_loops", "core/again"),
        ("link_leaves", "dist/ui"),
    }


def test_all_that_is_missing_or_wrong_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "agent.yaml").write_text("name: Bad\nmetadata: {version: 1/2}\n")
    with pytest.raises(BuildFailed) as failed:
        write_package(tmp_path, tmp_path)
    assert [problem.code for problem in failed.value.problems] == [
        *("src_missing", "env_missing", "name_invalid", "version_invalid", "entrypoint_missing")
    ]


def test_a_package_that_would_be_refused_is_not_made(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder(more={"src/aux.py": ""})
    built = build_package(folder, tmp_path / "p.apkg")
    assert [problem.code for problem in built.verification.problems] == ["name_device"]
    assert not built.path.exists()
    (folder / "src/aux.py").unlink()
    assert build_package(folder, tmp_path / "p.apkg").path.exists()
    assert not list(tmp_path.glob(".building*"))


def test_folders_of_modules_become_packages_unless_they_are_namespaces(make_folder: Any, tmp_path: Path) -> None:
    pak = "namespace_packages: [core]\ngenerate_install_requires: true\n"
    more = {"src/deep/er/x.py": "", "core/part/y.py": "", "pak.yaml": pak}
    folder = make_folder(more=more, requirements="httpx>=0.28  # why\n--pre\n")
    with zipfile.ZipFile(write_package(folder, tmp_path / "p.apkg")) as archive:
        made = {name for name in archive.namelist() if name.endswith("__init__.py")}
        assert made == {"src/__init__.py", "src/deep/__init__.py", "src/deep/er/__init__.py"}
        assert b"install_requires=['httpx>=0.28']" in archive.read("setup.py")


def test_dependencies_of_the_manifest_become_requirements(make_folder: Any, tmp_path: Path) -> None:
    folder = make_folder()
    (folder / "requirements.txt").unlink()
    text = (folder / "agent.yaml").read_text().replace("dependencies: []", "dependencies: ['httpx>=0.28']")
    (folder / "agent.yaml").write_text(text)
    with zipfile.ZipFile(write_package(folder, tmp_path / "p.apkg")) as archive:
        assert archive.read("requirements.txt") == b"httpx>=0.28\n"
