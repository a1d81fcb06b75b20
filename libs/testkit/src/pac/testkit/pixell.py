"""The real `pixell` command, in a virtual environment of its own, made once and kept in PAC's cache folder."""

import asyncio
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from pac.cli.local import cache_folder

RELEASE = "pixell-kit==0.4.12"
PATIENCE_SECONDS = 150.0
INSTALL_SECONDS = 300.0


class PixellUnavailable(RuntimeError):  # noqa: N818 - it says what happened, as a name
    """The environment cannot be made; the text ends with what the installer said."""


@dataclass(frozen=True)
class Said:
    code: int
    text: str


@dataclass(frozen=True)
class Pixell:
    """`await pixell("build", cwd=folder)`: exit code, and what a user sees (both streams). `typed`: on its stdin."""

    executable: Path

    async def __call__(self, *arguments: str, cwd: Path | None = None, typed: str = "") -> Said:
        process = await asyncio.create_subprocess_exec(
            str(self.executable),
            *arguments,
            cwd=cwd,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            out, _ = await asyncio.wait_for(process.communicate(typed.encode()), PATIENCE_SECONDS)
        except TimeoutError:
            process.kill()
            await process.wait()
            raise
        assert process.returncode is not None
        return Said(process.returncode, out.decode())


@pytest.fixture(scope="session")
def pixell() -> Pixell:
    """The real command; its absence is a failure, never a skip."""
    home = cache_folder() / RELEASE.replace("==", "-")
    home.parent.mkdir(parents=True, exist_ok=True)
    with _alone(home.with_suffix(".lock")):
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            _install(home)
            (home / "complete").touch()
    return Pixell(home / "bin/pixell")


def _install(home: Path) -> None:
    """With uv where there is one (it brings no pip along), else with the standard library's venv and its pip."""
    python = str(home / "bin/python")
    if uv := os.environ.get("UV") or shutil.which("uv"):
        _run(uv, "venv", "--quiet", "--python", sys.executable, str(home))
        _run(uv, "pip", "install", "--quiet", "--python", python, RELEASE)
    else:
        _run(sys.executable, "-m", "venv", str(home))
        _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", RELEASE)


def _run(*arguments: str) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            arguments, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as fault:
        raise PixellUnavailable(f"{arguments[0]} cannot be run: {fault}") from None
    if done.returncode != 0:
        raise PixellUnavailable(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
