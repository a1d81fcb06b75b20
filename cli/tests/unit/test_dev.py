"""What `--env` gives, and how `pac dev` tells what happened."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from pac.agentkit.apkg import Manifest, Problem
from pac.agentkit.environment import Explanation, Layer
from pac.agentkit.runtime.output import Line
from pac.cli.dev.given import Given
from pac.cli.dev.packing import Packed
from pac.cli.dev.shown import View
from pac.cli.local.errors import Expected


def test_variables_and_files_win_in_the_order_they_were_given(tmp_path: Path) -> None:
    file = tmp_path / "with=equals.env"
    file.write_text("A=file\nB=file\n")
    given = Given.of(["A=first", "B=first", str(file), "A=last=x", "C="])
    assert given.values() == {"A": "last=x", "B": "file", "C": ""}
    assert given.files == (file,)
    assert "last" not in repr(given)
    file.write_text("B=changed\n")
    assert given.values() == {"A": "last=x", "B": "changed", "C": ""}
    assert Given.of([]).values() == {}


@pytest.mark.parametrize("text", ["sk-hidden", "", "=hidden", "1A=hidden", "A B=hidden", "/nowhere/hidden.env"])
def test_what_is_neither_is_told_by_its_number_alone(text: str) -> None:
    with pytest.raises(Expected) as caught:
        Given.of(["A=1", text])
    assert "--env number 2 cannot be used" in str(caught.value)
    assert "hidden" not in str(caught.value)


@pytest.fixture
def view() -> View:
    return View(Path("/work/agent"), Path("/state/agents"), "aws", explain_all=False)


EXPLAINED = (
    Explanation("API_KEY", Layer.PROVIDER, (Layer.DOTENV, Layer.BASE)),
    Explanation("HOME", Layer.BASE, ()),
    Explanation("MODE", Layer.REQUEST, ()),
)


def packed(version: str) -> Packed:
    manifest = Manifest("agent.yaml", "echo", version, schema_version=None, entrypoint="src.main:handler", runtime=None)
    return Packed("0" * 64, manifest, (), ())


def test_layers_are_counted_and_each_key_has_its_own(view: View, capsys: pytest.CaptureFixture[str]) -> None:
    view.serves(packed("1.0.0"), 0.26, EXPLAINED)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "environment: request 1, provider (aws) 1, .env 1, base 2",
        "  key      from      over",
        "  API_KEY  provider  .env, base",
        "  MODE     request",
        "  … and 1 from base alone (--explain shows them)",
        "✓ echo 1.0.0 serves (0.3 s)",
    ]
    view.serves(packed("1.0.1"), 0.1, EXPLAINED)
    assert capsys.readouterr().out == "✓ echo 1.0.1 serves (0.1 s)\n"


def test_all_are_shown_when_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    View(Path("/a"), Path("/s"), "none", explain_all=True).environment(EXPLAINED, ())
    said = capsys.readouterr().out
    assert "  HOME     base" in said
    assert "base alone" not in said


def test_a_name_of_dotenv_that_may_be_a_secret_is_counted_and_not_shown(
    view: View, capsys: pytest.CaptureFixture[str]
) -> None:
    view.environment((Explanation("A", Layer.DOTENV, ()), Explanation("MIIEvQ", Layer.DOTENV, ())), ["A"])
    said = capsys.readouterr().out
    assert "MIIEvQ" not in said
    assert "… and 1 from .env that are not shown" in said


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('File "/state/agents/12/app/src/main.py", line 3', 'File "/work/agent/src/main.py", line 3'),
        ("in /state/agents/1/app", "in /work/agent"),
        ("/state/agents/1/apple /state/agents/x/app", "/state/agents/1/apple /state/agents/x/app"),
        ("/state/agents/1/home/.cache", "/state/agents/1/home/.cache"),
    ],
)
def test_copies_of_the_folder_are_shown_as_the_folder(
    text: str, shown: str, view: View, capsys: pytest.CaptureFixture[str]
) -> None:
    view.agent(Line(datetime.now(UTC), "stderr", text))
    assert capsys.readouterr().out == f"  | {shown}\n"


def test_changes_are_named_from_the_folder_and_not_all(view: View, capsys: pytest.CaptureFixture[str]) -> None:
    view.changed([Path("/work/agent/src/main.py"), Path("/elsewhere/more.env")])
    view.changed(Path(f"/work/agent/src/{name}.py") for name in "edcba")
    assert capsys.readouterr().out.splitlines() == [
        "changed: /elsewhere/more.env, src/main.py",
        "changed: src/a.py, src/b.py, src/c.py and 2 more",
    ]


def test_a_warning_is_said_once_until_it_has_been_away(view: View, capsys: pytest.CaptureFixture[str]) -> None:
    warning = Problem("env_line_unread", ".env: line 1 gives no variable", ".env", "Write it as KEY=VALUE.")
    for warnings in ((warning,), (warning,), (), (warning,)):
        view.warned(warnings)
    said = "! .env: line 1 gives no variable\n    Write it as KEY=VALUE.\n"
    assert capsys.readouterr().out == said * 2


def test_faults_are_told_with_entry_code_and_hint(view: View, capsys: pytest.CaptureFixture[str]) -> None:
    view.refused((Problem("ratio", "It unpacks to too much", "src/x", "Leave it out."),), still=True)
    view.failed("The agent ended", still=None)
    assert capsys.readouterr().out.splitlines() == [
        "✗ not loaded; the one before still serves",
        "  src/x: It unpacks to too much (ratio)",
        "    Leave it out.",
        "✗ The agent ended",
    ]
