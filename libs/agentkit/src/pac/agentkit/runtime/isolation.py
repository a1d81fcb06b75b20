"""Which Python agents run on and under which users. Under root every agent gets a user of its own, if that can work."""

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from pac.agentkit.runtime.commands import Command

PROBE = "import ctypes,os,sys,venv;open(sys.argv[1]).close();print(*sys.version_info[:3],sep='.')"
PROBE_SECONDS = 20.0
OLDEST = (3, 11)


class NoPython(RuntimeError):  # noqa: N818 - it says what is missing, as a name
    """Agents cannot be started: no Python that is new enough can be."""


@dataclass(frozen=True)
class Isolation:
    """`first_uid` None: agents share the runtime's own user, and `reason` says why."""

    python: str
    version: str
    first_uid: int | None
    reason: str | None = None

    @property
    def builder(self) -> int | None:
        """The user that installs requirements: their build scripts are code of strangers too."""
        return self.first_uid

    def agent(self, slot: int) -> int | None:
        return None if self.first_uid is None else self.first_uid + 1 + slot


async def choose(configured: str | None, first_uid: int, readable: Path) -> Isolation:
    """`readable`: a file that agents must be able to read. NoPython when none is usable at all."""
    pythons = (configured,) if configured else candidates()
    reason = None
    if os.geteuid() != 0:
        reason = "the runtime does not run as root"
    elif first_uid == 0:
        reason = "LOCAL_RUNTIME_AGENT_FIRST_UID is 0"
    else:
        for python in pythons:
            if version := await _probe(python, first_uid, readable):
                return Isolation(python, version, first_uid)
        reason = "no Python, or not the state folder, can be reached by another user"
    for python in pythons:
        if version := await _probe(python, None, readable):
            return Isolation(python, version, None, reason)
    raise NoPython(f"No usable Python (3.11 or newer) among: {', '.join(pythons)}")


def candidates() -> tuple[str, ...]:
    base = Path(sys.base_exec_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    paths = [str(base), shutil.which("python3", path="/usr/local/bin"), shutil.which("python3", path="/usr/bin")]
    return tuple(dict.fromkeys(path for path in paths if path))


async def _probe(python: str, user: int | None, readable: Path) -> str | None:
    environment = {"PATH": os.defpath, "LANG": "C.UTF-8"}
    command = Command((python, "-I", "-c", PROBE, str(readable)), environment, Path("/"), user, PROBE_SECONDS)
    try:
        finished = await command.run()
    except (OSError, ValueError):
        return None
    version = finished.output.strip()
    if finished.code != 0 or tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return None
    return version
