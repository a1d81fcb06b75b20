"""Where things lie in the state folder, and who may look: 0700, but for passage to agents with users of their own."""

import fcntl
import os
import shutil
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

PRIVATE, PASSAGE, READABLE = 0o700, 0o711, 0o644
PASSING = ("downloads", "logs", "agents")


class AlreadyRunning(Exception):  # noqa: N818 - it says what happened, as a name
    """Another runtime uses this state folder."""


@dataclass(frozen=True)
class Places:
    """`downloads` and `logs` are the runtime's own; `agents/<number>` belongs to that agent's user."""

    root: Path

    @property
    def agents(self) -> Path:
        return self.root / "agents"

    @property
    def venvs(self) -> Path:
        return self.root / "venvs"

    @property
    def bootstrap(self) -> Path:
        return self.root / "bootstrap.py"

    def download(self, number: int) -> Path:
        return self.root / "downloads" / f"{number}.apkg"

    def log(self, number: int) -> Path:
        return self.root / "logs" / f"{number}.log"

    def agent(self, number: int) -> Path:
        return self.agents / str(number)

    def home(self, number: int) -> Path:
        return self.agent(number) / "home"

    def temporary(self, number: int) -> Path:
        return self.agent(number) / "tmp"

    def make_agent(self, number: int, owner: int | None) -> Path:
        """The agent's own folders; returns where its package goes. Blocking."""
        folder = self.agent(number)
        shutil.rmtree(folder, ignore_errors=True)
        for path in (folder, self.home(number), self.temporary(number)):
            path.mkdir(PRIVATE)
            if owner is not None:
                os.chown(path, owner, owner)
        return folder / "app"

    def open(self) -> int:
        """Makes and empties what a runtime starts with; returns the lock to hold. AlreadyRunning when held."""
        self.root.mkdir(PRIVATE, parents=True, exist_ok=True)
        self.root.chmod(PRIVATE)
        lock = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise AlreadyRunning(str(self.root)) from None
        self.empty()
        for name in PASSING:
            (self.root / name).mkdir(PRIVATE)
        source = resources.files("pac.agentkit.runtime").joinpath("bootstrap.py").read_bytes()
        self.bootstrap.unlink(missing_ok=True)
        self.bootstrap.write_bytes(source)
        self.bootstrap.chmod(READABLE)
        return lock

    def empty(self) -> None:
        """Only virtual environments stay: they are what takes long to make."""
        for name in PASSING:
            shutil.rmtree(self.root / name, ignore_errors=True)

    def let_users_pass(self) -> None:
        """Agents with users of their own must be able to walk to their folder, and see nothing on the way."""
        self.root.chmod(PASSAGE)
        self.agents.chmod(PASSAGE)

    def close_to_users(self) -> None:
        self.root.chmod(PRIVATE)
        self.agents.chmod(PRIVATE)
