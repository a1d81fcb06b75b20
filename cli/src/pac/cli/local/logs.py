"""Log files of supervised processes. A process writes its file itself, so it never waits for its supervisor."""

import os
import shutil
from pathlib import Path

MAX_BYTES = 16 * 1024 * 1024
TAIL_BYTES = 64 * 1024


def open_log(path: Path) -> int:
    """Appending: after `rotate` emptied the file, the next line is written at its beginning."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


def rotate(path: Path, *, max_bytes: int = MAX_BYTES) -> bool:
    """Keeps one former file as `<name>.log.1`; lines written during the copy may be lost, the disk never fills."""
    if not path.exists() or path.stat().st_size <= max_bytes:
        return False
    shutil.copyfile(path, path.with_name(f"{path.name}.1"))
    os.truncate(path, 0)
    return True


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def last_lines(path: Path, count: int = 20, *, since: int = 0) -> list[str]:
    """The end of a file; only what was written after its first `since` bytes."""
    try:
        with path.open("rb") as file:
            file.seek(max(since, path.stat().st_size - TAIL_BYTES))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
