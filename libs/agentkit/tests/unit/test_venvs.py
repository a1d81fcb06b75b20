"""Which requirements share an environment, and what is said when they cannot be had."""

import asyncio
from pathlib import Path

import pytest

from pac.agentkit.runtime.commands import TIMED_OUT, Finished
from pac.agentkit.runtime.faults import DeploymentFailed
from pac.agentkit.runtime.isolation import Isolation
from pac.agentkit.runtime.venvs import Venvs, first_reason, wanted_lines


def venvs(version: str = "3.11.7") -> Venvs:
    return Venvs(Path("/nowhere"), Isolation("/usr/bin/python3", version, None), {}, None, 1.0)


def test_comments_and_blank_lines_do_not_make_another_environment() -> None:
    assert venvs().key("httpx>=0.28 # why\n\n") == venvs().key("# note\n-e .\nhttpx>=0.28")


def test_another_requirement_or_python_does() -> None:
    keys = {venvs().key("httpx>=0.28"), venvs().key("httpx>=0.27"), venvs("3.12.1").key("httpx>=0.28"), venvs().key("")}
    assert len(keys) == 4


def test_what_nobody_asked_for_is_forgotten(tmp_path: Path) -> None:
    made = Venvs(tmp_path, Isolation("/usr/bin/python3", "3.11.7", None), {}, None, 1.0)
    for name in ("used", "unused"):
        (made.made / name / "bin").mkdir(parents=True)
        (tmp_path / f"{name}.complete").touch()
        (tmp_path / f"{name}.txt").touch()
    made._locks["used"] = asyncio.Lock()
    made.forget_unused()
    assert {path.name for path in tmp_path.iterdir()} == {"made", "used.complete", "used.txt"}
    assert [path.name for path in made.made.iterdir()] == ["used"]


@pytest.mark.parametrize(
    "line",
    [
        "httpx",
        "httpx[http2]>=0.28,<1; python_version > '3.9'",
        "x @ https://example.com/x.whl",
        "--index-url https://example.com/simple",
        "-i https://example.com/simple",
        "--pre",
    ],
)
def test_named_packages_are_wanted(line: str) -> None:
    assert wanted_lines(line) == [line]


@pytest.mark.parametrize(
    "line",
    ["-r other.txt", "-c x.txt", "./x.whl", "-e ./x", "file:///etc/x", "x @ file:///etc/x", "../x", "--config x"],
)
def test_files_of_the_package_or_the_machine_are_refused(line: str) -> None:
    with pytest.raises(DeploymentFailed, match="not supported"):
        wanted_lines(line)


@pytest.mark.parametrize(
    ("finished", "said"),
    [
        (
            Finished(
                1,
                "  \u00d7 No solution found when resolving dependencies:\n  ╰─▶ Because x is\n  away.\n",
            ),
            "No solution found when resolving dependencies: Because x is away.",
        ),
        (Finished(1, "error: No solution\n  cause: Because there is no x\n"), "Because there is no x"),
        (
            Finished(1, "Looking\nERROR: one\nERROR: No matching distribution found for x==9\n"),
            "No matching distribution found for x==9",
        ),
        (Finished(1, "error: https://user:pw@host/simple?token=1 is away"), "error: https://host/simple is away"),
        (Finished(TIMED_OUT, "whatever"), "it took too long and was ended"),
        (Finished(3, ""), "ended with code 3"),
    ],
)
def test_the_reason_is_one_clear_line(finished: Finished, said: str) -> None:
    assert first_reason(finished) == said
