"""Where the local runtime keeps its agents: in the state folder, or as root, in a place that agents can reach.

As root every agent runs as a user of its own. The state folder is 0700 and may lie below a 0700 home, so no agent
could read its own code there. Then the folder is /var/lib/pac/<id>, and the state folder holds a link to it.
"""

import contextlib
import os
import secrets
import shutil
from pathlib import Path

from pac.cli.local.state import StateFolder

SHARED = Path("/var/lib/pac")
BELONGS_TO = "belongs-to"


def runtime_home(state: StateFolder, *, shared: Path = SHARED) -> Path:
    """The folder, made if missing; the same one at every start."""
    link = state.path / "runtime"
    if os.geteuid() != 0 or (link.is_dir() and not link.is_symlink()):
        link.mkdir(exist_ok=True, mode=0o700)
        return link
    if link.is_symlink() and link.is_dir():
        return link.resolve()
    with contextlib.suppress(OSError):  # a read-only system: agents share our user, and the runtime says so
        home = shared / secrets.token_hex(8) / "runtime"
        home.mkdir(parents=True)
        for folder in (shared, home.parent, home):
            folder.chmod(0o711)
        belongs_to = home.parent / BELONGS_TO
        belongs_to.touch(0o600)
        belongs_to.write_text(str(state.path), encoding="utf-8")
        link.unlink(missing_ok=True)
        link.symlink_to(home)
        return home
    link.mkdir(exist_ok=True, mode=0o700)
    return link


def wipe_runtime_home(state: StateFolder, *, shared: Path = SHARED) -> None:
    link = state.path / "runtime"
    if link.is_symlink():
        home = link.resolve().parent
        if home.parent == shared:
            shutil.rmtree(home, ignore_errors=True)
        link.unlink()
    shutil.rmtree(link, ignore_errors=True)


def abandoned(shared: Path = SHARED) -> list[Path]:
    """Folders whose state folder is gone, or has another one."""
    try:
        homes = [home for home in shared.iterdir() if (home / BELONGS_TO).exists()]
        return [home for home in homes if (_owner(home) / "runtime").resolve() != (home / "runtime").resolve()]
    except OSError:
        return []


def _owner(home: Path) -> Path:
    return Path((home / BELONGS_TO).read_text(encoding="utf-8").strip())
