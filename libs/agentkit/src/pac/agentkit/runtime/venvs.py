"""Virtual environments of agents: one per requirements and Python, shared, made once."""

import asyncio
import hashlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pac.agentkit.runtime.commands import TIMED_OUT, Command, Finished
from pac.agentkit.runtime.faults import DeploymentFailed, one_line
from pac.agentkit.runtime.isolation import Isolation

COMPLETE = ".complete"
PROBE_SECONDS = 10.0
QUERY = re.compile(r"(https?://[^\s?#]+)[?#]\S+")
CREDENTIALS = re.compile(r"(https?://)[^\s/@]+@")
DECORATION = re.compile("[\u00d7\u2500-\u257f\u25b6]+")
NAMED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\s*(?:\[[^\]]*\])?\s*(?:[<>=!~;(].*|@\s*(?:git\+)?https?://.*)?")
OPTION = re.compile(
    r"--(?:pre|prefer-binary|require-hashes|hash=\S+|(?:index-url|extra-index-url|find-links)[ =]https?://\S+"
    r"|(?:no-binary|only-binary)[ =]\S+)|-[if] https?://\S+"
)
THE_PACKAGE_ITSELF = frozenset({".", "-e .", "--editable ."})  # its folder is on the path anyway
LINK_MODE = {"UV_LINK_MODE": "copy", "UV_NO_PROGRESS": "1", "UV_PYTHON_DOWNLOADS": "never", "PIP_NO_INPUT": "1"}


def wanted_lines(requirements: str) -> list[str]:
    """What a requirements file asks for, without comments and blank lines."""
    joined = requirements.replace("\\\n", " ")
    lines = (re.sub(r"(?:^|\s)#.*$", "", line).strip() for line in joined.splitlines())
    wanted = [line for line in lines if line and line not in THE_PACKAGE_ITSELF]
    for line in wanted:
        if not NAMED.fullmatch(line) and not OPTION.fullmatch(line):
            text = "names of packages and index options only, no files and folders"
            raise DeploymentFailed(one_line(f"requirements.txt: {cleaned(line)!r} is not supported: {text}"))
    return wanted


@dataclass(frozen=True)
class Venvs:
    """`folder` is ours and holds the lists and the marks of what is complete; `made` below it is the builder's."""

    folder: Path
    isolation: Isolation
    environment: Mapping[str, str] = field(repr=False)
    uv: str | None
    timeout_seconds: float
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    @property
    def made(self) -> Path:
        return self.folder / "made"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def key(self, requirements: str) -> str:
        """The name of the environment: the same requirements on the same Python share one."""
        text = "\n".join((self.isolation.python, self.isolation.version, *wanted_lines(requirements)))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    async def prepare(self, requirements: str) -> Path:
        """The folder of an environment that holds the requirements; DeploymentFailed when they cannot be had."""
        name = self.key(requirements)
        path = self.made / name
        complete = self._complete(name)
        async with self._locks.setdefault(name, asyncio.Lock()):
            if not complete.exists() or not path.exists():
                await asyncio.to_thread(_remove, path)
                try:
                    await self._make(path, requirements)
                    complete.touch()
                except BaseException:
                    await asyncio.to_thread(_remove, path)
                    raise
        return path

    def forget_unused(self) -> None:
        """Removes those that nobody has asked for since we began. Blocking."""
        for path in self.made.iterdir():
            if path.name not in self._locks:
                self._complete(path.name).unlink(missing_ok=True)
                self._listed(path.name).unlink(missing_ok=True)
                _remove(path)

    def _complete(self, name: str) -> Path:
        return self.folder / f"{name}{COMPLETE}"

    def _listed(self, name: str) -> Path:
        return self.folder / f"{name}.txt"

    async def _make(self, path: Path, requirements: str) -> None:
        lines = wanted_lines(requirements)
        create = await self._run(path.parent, *self._create(path, with_pip=bool(lines) and self.uv is None))
        if create.code != 0:
            raise DeploymentFailed(f"The virtual environment cannot be made: {first_reason(create)}")
        if lines:
            listed = self._listed(path.name)
            await asyncio.to_thread(listed.write_text, "\n".join(lines) + "\n", encoding="utf-8")
            listed.chmod(0o644)
            install = await self._run(path, *self._install(path, listed))
            if install.code != 0:
                raise DeploymentFailed(f"Installing requirements failed: {first_reason(install)}")

    def _create(self, path: Path, *, with_pip: bool) -> tuple[str, ...]:
        if self.uv:
            return (self.uv, "venv", "--quiet", "--python", self.isolation.python, str(path))
        return (self.isolation.python, "-I", "-m", "venv", *(() if with_pip else ("--without-pip",)), str(path))

    def _install(self, path: Path, listed: Path) -> tuple[str, ...]:
        python = str(path / "bin" / "python")
        if self.uv:
            return (self.uv, "pip", "install", "--quiet", "--python", python, "-r", str(listed))
        return (python, "-I", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(listed))

    async def _run(self, folder: Path, *arguments: str) -> Finished:
        home = str(self.home)
        environment = {**self.environment, **LINK_MODE, "HOME": home, "TMPDIR": home, "UV_CACHE_DIR": f"{home}/uv"}
        command = Command(arguments, environment, folder, self.isolation.builder, self.timeout_seconds)
        try:
            return await command.run()
        except OSError as fault:
            raise DeploymentFailed(f"{Path(arguments[0]).name} cannot be started: {fault.strerror}") from None


def open_venvs(venvs: Venvs) -> Venvs:
    """Makes the folders, owned by the builder and readable by agents. Blocking."""
    builder = venvs.isolation.builder
    for path, mode, owner in (
        (venvs.folder, 0o755, None),
        (venvs.made, 0o755, builder),
        (venvs.home, 0o700, builder),
    ):
        path.mkdir(exist_ok=True)
        path.chmod(mode)
        if owner is not None:
            os.chown(path, owner, owner)
    return venvs


async def find_uv(configured: str | None, user: int | None) -> str | None:
    """The uv to use, if there is one that the installing user can start."""
    path = configured or shutil.which("uv")
    if path is None:
        return None
    command = Command((path, "--version"), {"PATH": os.defpath}, Path("/"), user, PROBE_SECONDS)
    try:
        return path if (await command.run()).code == 0 else None
    except OSError:
        return None


def cleaned(text: str) -> str:
    return CREDENTIALS.sub(r"\1", QUERY.sub(r"\1", text))


def first_reason(finished: Finished) -> str:
    """One clear line of what uv or pip said, without decoration, credentials and query strings."""
    if finished.code == TIMED_OUT:
        return "it took too long and was ended"
    lines = [DECORATION.sub("", line).strip() for line in cleaned(finished.output).splitlines()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    causes = [line.removeprefix("cause: ") for line in lines if line.startswith("cause: ")]
    said = errors[-1:] or causes[-1:] or [line for line in lines if line and not line.startswith("hint:")][:8]
    return one_line(" ".join(said)) or f"ended with code {finished.code}"


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)
