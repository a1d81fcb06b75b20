"""Where agents are kept when each of them runs as a user of its own."""

import os
import shutil
import stat
from pathlib import Path

import pytest

from pac.cli.local.examination import Verdict, disk, memory, python
from pac.cli.local.runtime_home import abandoned, runtime_home, wipe_runtime_home
from pac.cli.local.state import StateFolder

GIB = 1024**3
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives agents a user of their own")


@AS_ROOT
def test_as_root_agents_are_kept_where_another_user_may_go(tmp_path: Path) -> None:
    state, shared = StateFolder.at(tmp_path / "state"), tmp_path / "shared"
    home = runtime_home(state, shared=shared)
    assert runtime_home(state, shared=shared) == home
    assert home.is_relative_to(shared)
    assert stat.S_IMODE(home.stat().st_mode) == 0o711
    assert (state.path / "runtime").resolve() == home


@AS_ROOT
def test_wiping_takes_the_folder_along(tmp_path: Path) -> None:
    state, shared = StateFolder.at(tmp_path / "state"), tmp_path / "shared"
    home = runtime_home(state, shared=shared)
    wipe_runtime_home(state, shared=shared)
    assert not home.parent.exists()
    assert not (state.path / "runtime").is_symlink()


@AS_ROOT
def test_a_folder_whose_state_folder_was_deleted_is_found(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    kept = runtime_home(StateFolder.at(tmp_path / "kept"), shared=shared)
    lost = runtime_home(StateFolder.at(tmp_path / "lost"), shared=shared)
    assert abandoned(shared) == []
    shutil.rmtree(tmp_path / "lost")
    assert abandoned(shared) == [lost.parent]
    assert kept.exists()


def test_a_link_that_points_elsewhere_is_removed_but_not_followed(tmp_path: Path) -> None:
    state = StateFolder.at(tmp_path / "state")
    precious = tmp_path / "precious/runtime"
    precious.mkdir(parents=True)
    (state.path / "runtime").symlink_to(precious)
    wipe_runtime_home(state, shared=tmp_path / "shared")
    assert precious.exists()


def test_findings_name_the_command_that_mends_them(tmp_path: Path) -> None:
    assert python((3, 11)).verdict is Verdict.GOOD
    old = python((3, 10))
    assert (old.verdict, old.mend) == (Verdict.BAD, "uv python install 3.11")
    assert memory(GIB // 2, is_running=False).verdict is Verdict.BAD
    assert memory(3 * GIB // 2, is_running=False).verdict is Verdict.WARNING
    assert memory(GIB // 2, is_running=True).verdict is Verdict.GOOD  # it is we who use it
    assert "GiB free at" in disk(tmp_path / "not/there/yet").found
