"""The real `pixell` command in a virtual environment of its own, made once per version. For tests and drivers."""

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGE = "pixell-kit"
VERSION = "0.4.12"
INSTALL_SECONDS = 300


class PixellUnavailable(RuntimeError):  # noqa: N818 - it says what happened, as a name
    """The environment cannot be made; the text ends with what the installer said."""


def cache_folder() -> Path:
    """PAC_CACHE_DIR, else the user's cache folder."""
    if configured := os.environ.get("PAC_CACHE_DIR"):
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pac"


def ensure_pixell(version: str = VERSION, folder: Path | None = None) -> Path:
    """The path of the command. Blocks while it installs; PixellUnavailable when that fails."""
    base = folder or cache_folder()
    venv = base / f"{PACKAGE}-{version}-py{sys.version_info.major}.{sys.version_info.minor}"
    command = venv / "bin" / "pixell"
    complete = venv / ".complete"
    base.mkdir(parents=True, exist_ok=True)
    with (base / f".{venv.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists() or not command.exists():
            shutil.rmtree(venv, ignore_errors=True)
            _install(venv, f"{PACKAGE}=={version}")
            complete.touch()
    return command


def _install(venv: Path, requirement: str) -> None:
    python = str(venv / "bin" / "python")
    if uv := shutil.which("uv"):
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(venv))
        _run(uv, "pip", "install", "--quiet", "--python", python, requirement)
    else:
        _run(sys.executable, "-m", "venv", str(venv))
        _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", requirement)


def _run(*arguments: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            arguments, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise PixellUnavailable(f"{arguments[0]} cannot be run: {fault}") from None
    if done.returncode != 0:
        raise PixellUnavailable(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
