"""Whom PostgreSQL runs as, and what that user can reach. PostgreSQL refuses to run as root."""

import contextlib
import os
import pwd
import shutil
import stat
import subprocess
import time
from pathlib import Path

from pac.cli.local.errors import Expected

# An account of its own: agents of the local runtime run as another one, and must not be able to read the database.
ACCOUNT = "pac-postgres"
SHARED_CACHE = Path("/var/cache/pac")
ACCOUNT_SECONDS = 10.0


def server_user() -> str | None:
    """The account for the server; None (run as ourselves) unless we are root. Makes it if it is missing."""
    if os.geteuid() != 0:
        return None
    deadline = time.monotonic() + ACCOUNT_SECONDS
    while not _exists(ACCOUNT):
        made = _make_account()
        if _exists(ACCOUNT):
            break
        if made is None or time.monotonic() > deadline:
            raise Expected(
                "PostgreSQL cannot be started as root",
                f"it needs an account of its own, and {ACCOUNT} could not be made: {made or 'useradd is missing'}",
                f"useradd --system --no-create-home --shell /usr/sbin/nologin {ACCOUNT}",
            )
    return ACCOUNT


def _exists(account: str) -> bool:
    with contextlib.suppress(KeyError):
        pwd.getpwnam(account)
        return True
    return False


def _make_account() -> str | None:
    """What useradd said; None when there is no useradd. Another stack may be making the same account right now."""
    useradd = shutil.which("useradd", path="/usr/sbin:/sbin:/usr/bin:/bin")
    if useradd is None:
        return None
    arguments = ("--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent")
    command = (useradd, *arguments, "--shell", "/usr/sbin/nologin", ACCOUNT)
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 (argv is ours)
    return done.stderr.strip() or "no reason given"


def everybody_reaches(path: Path) -> bool:
    """Whether any account can go to this folder: every folder above it must let strangers pass."""
    path = path.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def reachable_copy(source: Path, name: str, *, beside: tuple[Path, ...] = (), cache: Path) -> Path:
    """`source` itself if everybody reaches it; else a copy (made once) in a place that everybody reaches.

    A checkout under a 0700 home (root's, say) hides its virtual environment from the server's account.
    """
    if everybody_reaches(source):
        return source
    base = cache if cache.is_dir() and everybody_reaches(cache) else SHARED_CACHE
    home = base / name
    if not home.is_dir():
        base.mkdir(parents=True, exist_ok=True, mode=0o755)
        fresh = base / f".{name}.{os.getpid()}"
        for tree in (source, *beside):
            shutil.copytree(tree, fresh / tree.relative_to(source.parent.parent), symlinks=True, dirs_exist_ok=True)
        fresh.chmod(0o755)
        with contextlib.suppress(OSError):  # another stack was faster: its copy is the same
            fresh.rename(home)
        shutil.rmtree(fresh, ignore_errors=True)
    return home / source.relative_to(source.parent.parent)
