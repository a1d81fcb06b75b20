"""What the image is, as far as its file says it."""

import fnmatch
import tomllib

from .dockerfile import Step, stages
from .places import DEPLOY, ROOT

BUILD, IMAGE = stages((DEPLOY / "Dockerfile").read_text())


def texts(steps: list[Step], keyword: str) -> list[str]:
    return [step.text for step in steps if step.keyword == keyword]


def test_it_does_not_run_as_root() -> None:
    assert texts(IMAGE, "USER") == ["10001:10001"]
    assert [step.keyword for step in IMAGE if step.keyword in {"USER", "RUN"}][-1] == "USER"


def test_everything_installed_is_of_the_lock() -> None:
    syncs = [text for text in texts(BUILD, "RUN") if "uv sync" in text]
    assert ["--frozen" in text or "--locked" in text for text in syncs] == [True, True]
    assert "--locked" in syncs[-1]


def test_the_first_stage_starts_from_what_the_second_runs_on() -> None:
    assert texts(BUILD, "FROM")[0].split()[0] == texts(IMAGE, "FROM")[0].split()[0]


def test_every_member_of_the_workspace_is_copied_and_not_ignored() -> None:
    copied = {source for text in texts(BUILD, "COPY") for source in text.split()[:-1]}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    members = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["uv"]["workspace"]["members"]
    assert {member.split("/")[0] for member in members} <= copied <= let_in


def test_no_test_and_no_state_comes_into_the_image() -> None:
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] not in {"!", "#"}]
    for name in (".env", ".pac", ".git", ".venv"):
        assert any(fnmatch.fnmatch(name, pattern) for pattern in ignored), name
    assert "**/tests" in ignored
