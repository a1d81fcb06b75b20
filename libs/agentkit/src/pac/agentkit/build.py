"""Packs an agent's folder into an .apkg as `pixell build` does, but the same folder always gives the same bytes."""

import os
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pac.agentkit.apkg.model import Limits, Verification
from pac.agentkit.apkg.verification import verify
from pac.agentkit.source import BuildFailed, Content, read_source

__all__ = ["BuildFailed", "Built", "build_package", "write_package"]

LONG_AGO = (1980, 1, 1, 0, 0, 0)
COPY_BYTES = 1024 * 1024
READABLE = 0o644


@dataclass(frozen=True)
class Built:
    """Where the package is, or would be: it is there if the verification found no problem."""

    path: Path
    verification: Verification


def build_package(folder: Path, target: Path) -> Built:
    """Packs and checks `folder` as the server will. The file appears whole and sound, or not at all.

    `target`: a file, or a folder that gets NAME-VERSION.apkg. BuildFailed, with every reason, when it cannot be packed.
    """
    with _packed(folder, target) as (temporary, path):
        verification = verify(temporary)
        if verification.accepted:
            temporary.replace(path)
    return Built(path, verification)


def write_package(folder: Path, target: Path) -> Path:
    """The same without the check of what came out."""
    with _packed(folder, target) as (temporary, path):
        temporary.replace(path)
    return path


@contextmanager
def _packed(folder: Path, target: Path) -> Iterator[tuple[Path, Path]]:
    """The package under a name for now, and the one it should have; the first is gone afterwards."""
    source = read_source(folder, Limits())
    path = target / f"{source.name}-{source.version}.apkg" if target.is_dir() else target
    handle, name = tempfile.mkstemp(prefix=".building-", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for entry in sorted({*_folders(source.contents), *source.contents}):
                _write(archive, entry, source.contents.get(entry, b""))
        temporary.chmod(READABLE)
        yield temporary, path
    finally:
        temporary.unlink(missing_ok=True)


def _write(archive: zipfile.ZipFile, name: str, content: Content) -> None:
    entry = zipfile.ZipInfo(name, LONG_AGO)
    entry.create_system = 3
    entry.compress_type = zipfile.ZIP_DEFLATED
    is_folder = name.endswith("/")
    mode = (stat.S_IFDIR | 0o755) if is_folder else (stat.S_IFREG | 0o644)
    entry.external_attr = mode << 16 | (0x10 if is_folder else 0)
    if isinstance(content, bytes):
        archive.writestr(entry, content)
        return
    entry.file_size = content.stat().st_size
    with content.open("rb") as file, archive.open(entry, "w") as packed:
        shutil.copyfileobj(file, packed, COPY_BYTES)


def _folders(contents: dict[str, Content]) -> Iterator[str]:
    for name in contents:
        parent = name.rpartition("/")[0]
        while parent:
            yield f"{parent}/"
            parent = parent.rpartition("/")[0]
