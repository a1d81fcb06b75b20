"""`pac build` and `pac check`: what they say, where the package is, and how they end."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pac.cli.application import build
from pac.testkit.agents import write_agent
from pac.testkit.crafted import STORED, Part, package

SECRET = "sk-live-0123456789abcdef"


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(build(), [str(argument) for argument in arguments])


@pytest.fixture
def agent(tmp_path: Path) -> Path:
    return write_agent(tmp_path / "agent")


def test_build_makes_a_package_that_check_accepts(agent: Path, tmp_path: Path) -> None:
    said = run("build", agent, "-o", tmp_path / "one.apkg")
    assert (said.exit_code, "would be accepted: no faults, no warnings" in said.stdout) == (0, True)
    said = run("check", tmp_path / "one.apkg", "-o", "json")
    assert said.exit_code == 0
    assert json.loads(said.stdout) == {
        "accepted": True,
        "name": "echo-agent",
        "version": "1.0.0",
        "size_bytes": (tmp_path / "one.apkg").stat().st_size,
        "env_names": ["T_FROM"],
        "unpacked_bytes": json.loads(said.stdout)["unpacked_bytes"],
        "entries": 10,
        "problems": [],
        "warnings": [],
    }


def test_build_names_the_file_itself_and_always_makes_the_same_bytes(
    agent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("build", agent).exit_code == 0
    (tmp_path / "other").mkdir()
    told = json.loads(run("build", agent, "--output", tmp_path / "other", "--json").stdout)
    assert told["path"] == str(tmp_path / "other/echo-agent-1.0.0.apkg")
    assert Path(told["path"]).read_bytes() == (tmp_path / "echo-agent-1.0.0.apkg").read_bytes()


def test_check_of_a_folder_leaves_nothing_behind(agent: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert run("check", agent).exit_code == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_all_faults_come_at_once_and_no_file_is_made(agent: Path, tmp_path: Path) -> None:
    (agent / ".env").unlink()
    (agent / "agent.yaml").write_text("name: '../../evil'\nentrypoint: [1]\n")
    for command in (("build", agent, "-o", tmp_path / "x.apkg", "--json"), ("check", agent, "-o", "json")):
        said = run(*command)
        told = json.loads(said.stdout)
        assert (said.exit_code, told["accepted"]) == (1, False)
        assert [problem["code"] for problem in told["problems"]] == ["env_missing", "manifest_field"]
        assert all("hint" in problem for problem in told["problems"])
    assert not (tmp_path / "x.apkg").exists()
    assert not list(tmp_path.glob(".building*"))


def test_what_only_the_check_finds_refuses_the_build_as_well(agent: Path, tmp_path: Path) -> None:
    (agent / "src/zeros").write_bytes(bytes(3_000_000))
    said = run("build", agent, "-o", tmp_path)
    assert said.exit_code == 1
    assert "ratio" in said.stdout
    assert "would be refused: 1 fault" in said.stdout
    assert not list(tmp_path.glob("*.apkg"))


def test_warnings_are_told_without_values_and_refuse_nothing_unless_asked(agent: Path, tmp_path: Path) -> None:
    (agent / ".env").write_text(f"OPENAI_API_KEY={SECRET}\nDATA=/home/someone/data\n'broken\n")
    for command in (("check", agent), ("build", agent, "-o", tmp_path), ("check", agent, "-o", "json")):
        said = run(*command)
        assert said.exit_code == 0
        assert "secret_like_value" in said.stdout
        assert "absolute_path" in said.stdout
        assert SECRET not in said.stdout + said.stderr
        assert "someone" not in said.stdout + said.stderr
    assert run("check", agent, "--strict").exit_code == 1
    assert run("build", agent, "-o", tmp_path, "--strict").exit_code == 1


def test_a_package_too_large_for_an_upload_is_warned_of(tmp_path: Path) -> None:
    noise = Part("src/noise", os.urandom(1024 * 1024) * 101, method=STORED)
    (tmp_path / "x.apkg").write_bytes(package(noise).raw())
    told = json.loads(run("check", tmp_path / "x.apkg", "-o", "json").stdout)
    assert [warning["code"] for warning in told["warnings"]] == ["package_too_large"]
    assert told["accepted"]


def test_another_version_than_the_packages_is_a_fault(agent: Path) -> None:
    assert run("check", agent, "--version", "1.0.0").exit_code == 0
    said = run("check", agent, "--version", "2.0.0")
    assert (said.exit_code, "version_mismatch" in said.stdout) == (1, True)


def test_a_hostile_name_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "x.apkg").write_bytes(package(Part("../[/bold][red]\x1b[31m.py")).raw())
    said = run("check", tmp_path / "x.apkg")
    assert said.exit_code == 1
    assert "../[/bold][red]\\x1b[31m.py: a path that leaves its folder" in said.stdout
    assert "\x1b" not in said.stdout


def test_a_file_that_is_no_package_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.apkg").write_text("hello")
    said = run("check", tmp_path / "x.apkg")
    assert (said.exit_code, "Invalid APKG format" in said.stdout) == (1, True)


@pytest.mark.parametrize("command", [("check", "nowhere"), ("build", "nowhere"), ("build", __file__), ("check",)])
def test_a_wrong_call_ends_with_two(command: tuple[str, ...]) -> None:
    assert run(*command).exit_code == 2


def test_a_place_that_is_not_there_is_advice(agent: Path, tmp_path: Path) -> None:
    said = run("build", agent, "-o", tmp_path / "no/such/folder/x.apkg")
    assert said.exit_code == 1
    assert "No such file or directory" in said.stderr
