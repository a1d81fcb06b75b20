"""The state folder: whose it is, and what it keeps."""

import os
import stat
from pathlib import Path

import pytest

from pac.cli.context import state_dir_of, target_of
from pac.cli.local.errors import Expected
from pac.cli.local.logs import last_lines, open_log, rotate
from pac.cli.local.state import Lock, StateFolder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_nobody_else_reads_the_folder_or_its_secrets(tmp_path: Path) -> None:
    state = StateFolder.at(tmp_path / "a/b")
    state.secret("KEY")
    assert mode(state.path) == 0o700
    assert mode(state.path / "secrets.json") == 0o600


def test_a_secret_is_made_once(tmp_path: Path) -> None:
    first = StateFolder.at(tmp_path / "s").secret("KEY")
    assert StateFolder.at(tmp_path / "s").secret("KEY") == first
    assert StateFolder.at(tmp_path / "other").secret("KEY") != first


def test_somebody_elses_folder_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(Expected, match="is not a state folder"):
        StateFolder.at(tmp_path)
    assert mode(tmp_path) == 0o755


def test_wiping_deletes_what_is_ours_only(tmp_path: Path) -> None:
    state = StateFolder.at(tmp_path / "s")
    state.secret("KEY")
    (state.path / "postgres").mkdir()
    (state.path / "postgres/base").write_text("rows")
    (state.path / "notes.txt").write_text("mine")
    state.wipe()
    assert sorted(path.name for path in state.path.iterdir()) == ["README", "notes.txt"]


def test_a_damaged_file_is_named_not_replaced(tmp_path: Path) -> None:
    state = StateFolder.at(tmp_path / "s")
    (state.path / "secrets.json").write_text("{")
    with pytest.raises(Expected, match=r"secrets\.json is damaged"):
        state.secret("KEY")
    assert (state.path / "secrets.json").read_text() == "{"


def test_only_one_holds_the_lock(tmp_path: Path) -> None:
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert not second.is_held()
    assert first.acquire()
    assert not second.acquire()
    assert second.is_held()
    first.release()
    assert not second.is_held()
    assert second.acquire()


def test_a_log_is_cut_while_its_writer_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "logs/a.log"
    log = open_log(path)
    try:
        os.write(log, b"old\n" * 100)
        assert not rotate(path, max_bytes=400)
        assert rotate(path, max_bytes=399)
        os.write(log, b"new\n")
    finally:
        os.close(log)
    assert path.read_text() == "new\n"
    assert path.with_name("a.log.1").read_text() == "old\n" * 100
    assert mode(path) == 0o600


def test_last_lines_are_the_last(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_bytes(b"x" * 200_000 + b"\none\ntwo\xff\n")
    assert last_lines(path, 2) == ["one", "two\ufffd"]
    assert last_lines(tmp_path / "none") == []


def test_the_state_folder_is_chosen_by_option_then_environment(tmp_path: Path) -> None:
    assert state_dir_of(tmp_path / "a", {"PAC_STATE_DIR": str(tmp_path / "b")}) == tmp_path / "a"
    assert state_dir_of(None, {"PAC_STATE_DIR": str(tmp_path / "b")}) == tmp_path / "b"
    assert state_dir_of(None, {}).name == ".pac"


def test_a_gateway_elsewhere_gets_no_key_of_the_local_stack(tmp_path: Path) -> None:
    target = target_of(tmp_path, {"PAC_GATEWAY_URL": "https://pac.example/", "PAC_API_KEY": "mine"})
    assert (target.url, target.needs("api_key")) == ("https://pac.example", "mine")
    with pytest.raises(Expected, match="PAC_ADMIN_KEY is not set"):
        target.needs("admin_key")


def test_a_stack_that_does_not_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(Expected, match="PAC is not running"):
        target_of(tmp_path / "none", {})
    assert not (tmp_path / "none").exists()
