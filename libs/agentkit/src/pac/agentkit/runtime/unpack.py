"""Turns a package file into the agent's folder, after every byte of it was verified. Blocking: callers use a thread."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pac.agentkit.apkg import Entry, Manifest, verify
from pac.agentkit.apkg.hygiene import ENV
from pac.agentkit.apkg.manifest import find_manifest
from pac.agentkit.apkg.model import Limits
from pac.agentkit.apkg.verification import Abandoned, Damaged, inflated, never
from pac.agentkit.environment import parse_dotenv
from pac.agentkit.runtime.faults import DeploymentFailed, one_line

__all__ = ["Abandoned", "Unpacked", "read_folder", "unpack"]

LIMITS = Limits()
SHOWN_PROBLEMS = 3
FOLDER_MODE, FILE_MODE = 0o700, 0o600
REQUIREMENTS = "requirements.txt"


@dataclass(frozen=True, repr=False)
class Unpacked:
    """What the runtime needs of a package. `dotenv` may hold secrets."""

    root: Path
    manifest: Manifest
    entrypoint: str
    dotenv: dict[str, str]
    requirements: str


def unpack(package: Path, root: Path, owner: int | None, given_up: Callable[[], bool] = never) -> Unpacked:
    """The package at `root` (which must not exist yet), owned by `owner`. DeploymentFailed when it is no good.

    Abandoned soon after `given_up` has become true; what is at `root` by then is the caller's to remove.
    """
    verification = verify(package, LIMITS, given_up)
    if verification.problems:
        messages = [problem.message for problem in verification.problems[:SHOWN_PROBLEMS]]
        raise DeploymentFailed(one_line(f"Failed to load package: {'; '.join(messages)}"))
    _write(package, verification.inspection.entries, root, owner, given_up)
    return read_folder(root)


def read_folder(root: Path) -> Unpacked:
    """What an unpacked package (or an agent's own folder) says about itself."""
    names = frozenset(
        name for name in ("manifest.json", ".pixell/package.json", "agent.yaml") if (root / name).is_file()
    )
    found = find_manifest(names, lambda name: (root / name).read_bytes(), LIMITS)
    if found.manifest is None or found.problems:
        raise DeploymentFailed(one_line(f"Failed to load package: {found.problems[0].message}"))
    manifest = found.manifest
    if manifest.entrypoint is None:
        raise DeploymentFailed("The package gives no entrypoint, and this runtime serves nothing else")
    if manifest.runtime and not manifest.runtime.startswith("python"):
        raise DeploymentFailed(f"This runtime starts Python agents only, the package asks for {manifest.runtime}")
    requirements = root / REQUIREMENTS
    text = requirements.read_text("utf-8", "replace") if requirements.is_file() else "\n".join(manifest.dependencies)
    env = root / ENV
    return Unpacked(
        root=root,
        manifest=manifest,
        entrypoint=manifest.entrypoint,
        dotenv=parse_dotenv(env.read_bytes()) if env.is_file() else {},
        requirements=text,
    )


def _write(
    package: Path, entries: tuple[Entry, ...], root: Path, owner: int | None, given_up: Callable[[], bool]
) -> None:
    _make_folder(root, owner)
    made = {root}
    descriptor = os.open(package, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for entry in entries:
            path = root / entry.name
            for folder in (*reversed(path.parents), *((path,) if entry.is_folder else ())):
                if folder not in made and root in folder.parents:
                    _make_folder(folder, owner)
                    made.add(folder)
            if not entry.is_folder:
                with os.fdopen(_new_file(path), "wb") as file:
                    for data in inflated(descriptor, entry, given_up):
                        file.write(data)
                    if owner is not None:
                        os.fchown(file.fileno(), owner, owner)
    except Damaged as fault:
        raise DeploymentFailed(f"Failed to load package: {entry.name} {fault.what}") from None
    finally:
        os.close(descriptor)


def _new_file(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, FILE_MODE)


def _make_folder(path: Path, owner: int | None) -> None:
    path.mkdir(FOLDER_MODE)
    if owner is not None:
        os.chown(path, owner, owner)
