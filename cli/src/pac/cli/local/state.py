"""The state folder of one stack: which file is where, its secrets and its ports."""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pac.cli.local.errors import Expected
from pac.cli.local.ports import free_port, is_free
from pac.cli.local.records import Records, write_private

MARKER = "README"
CONTENT = (
    *("postgres", "postgres.new", "kafka", "s3", "logs"),
    *("secrets.json", "ports.json", "account.json", "status.json", "supervisor.json", "processes.json"),
)


@dataclass(frozen=True)
class StateFolder:
    """0700: it holds keys, data and logs."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> "StateFolder":
        """The folder, made if missing. Raises Expected for a folder with other people's files in it."""
        path = path.absolute()
        try:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
            if not (path / MARKER).exists():
                if any(path.iterdir()):
                    raise Expected(
                        f"{path} is not a state folder",
                        f"it is not empty, and has no file {MARKER}",
                        "pac up --state-dir with an empty or a new folder",
                    )
                (path / MARKER).write_text("Everything that `pac up` keeps. `pac down --wipe` empties it.\n")
            path.chmod(0o700)
        except OSError as error:
            raise Expected(
                f"{path} cannot be used as a state folder", f"{error.strerror}", "pac up --state-dir DIR"
            ) from None
        return cls(path)

    def wipe(self) -> None:
        """Deletes all data, keys and logs. Nothing may be running."""
        for name in CONTENT:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def records(self) -> Records:
        return Records(self.path / "processes.json")

    def read(self, name: str) -> dict[str, Any]:
        """A small JSON object; empty when there is none."""
        try:
            found: dict[str, Any] = json.loads((self.path / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            raise Expected(
                f"{self.path / name} is damaged", "it is not JSON", "restore it, or: pac down --wipe (deletes all data)"
            ) from None
        return found

    def write(self, name: str, content: Mapping[str, object]) -> None:
        write_private(self.path / name, json.dumps(content, indent=1))

    def secret(self, name: str, make: Callable[[], str] = lambda: secrets.token_urlsafe(32)) -> str:
        """A generated secret; the same one in every later run."""
        known = self.read("secrets.json")
        if name not in known:
            known[name] = make()
            self.write("secrets.json", known)
        return str(known[name])

    def port(self, name: str) -> int:
        """The same port in every run, unless somebody has taken it meanwhile."""
        known = self.read("ports.json")
        if name not in known or not is_free(int(known[name])):
            known[name] = str(free_port([int(port) for port in known.values()]))
            self.write("ports.json", known)
        return int(known[name])


@dataclass
class Lock:
    """Held by the one process that supervises a state folder; the system lets go of it however that process ends."""

    path: Path
    _file: int | None = None

    def acquire(self) -> bool:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def is_held(self) -> bool:
        """By anybody."""
        if not self.path.exists():
            return False
        free = self.acquire()
        if free:
            self.release()
        return not free
