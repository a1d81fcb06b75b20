"""How other programs read a zip: file names to sha256."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

Listing = dict[str, str]
Reader = Callable[[Sequence[Path]], list[Listing]]
LISTING = Path(__file__).parent / "listing/main.go"
AT_ONCE = 200


def by_python(paths: Sequence[Path]) -> list[Listing]:
    return [_by_python(path) for path in paths]


def _by_python(path: Path) -> Listing:
    with zipfile.ZipFile(path) as archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        return {info.filename: hashlib.sha256(archive.read(info)).hexdigest() for info in files}


def by_unzip(paths: Sequence[Path]) -> list[Listing]:
    if shutil.which("unzip") is None:
        pytest.skip("THE UNZIP ARM IS NOT RUN: there is no unzip here (apt-get install unzip)")
    return [_by_unzip(path) for path in paths]


def _by_unzip(path: Path) -> Listing:
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["unzip", "-q", "-o", path, "-d", folder],
            capture_output=True,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            timeout=30,
            check=False,
        )
        if done.returncode != 0:
            return {"": f"{done.returncode}: {done.stderr!r}"}
        files = [file for file in Path(folder).rglob("*") if not file.is_dir()]
        return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def by_go(paths: Sequence[Path]) -> list[Listing]:
    if shutil.which("go") is None:
        pytest.skip("THE GO ARM IS NOT RUN: there is no go here")
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "listing"
        subprocess.run(["go", "build", "-o", program, LISTING], check=True, timeout=110)
        lines: list[str] = []
        for begin in range(0, len(paths), AT_ONCE):
            done = subprocess.run(
                [program, *paths[begin : begin + AT_ONCE]], capture_output=True, text=True, check=True
            )
            lines.extend(done.stdout.splitlines())
    return [json.loads(line) for line in lines]
