"""Packages made wrong on purpose."""

import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

PACKAGE_JSON = (
    b'{"manifest": {"version": "1.0", "name": "echo-agent", "entrypoint": "src.main:handler",'
    b' "metadata": {"version": "1.2.0"}}}'
)
GOOD = {
    ".env": b"GREETING=hello\n",
    ".pixell/package.json": PACKAGE_JSON,
    "src/main.py": b"def handler(context):\n    return context\n",
}


class Crafted:
    """A zip under construction: entries with any name, flags and mode; then its raw bytes to be patched."""

    def __init__(self) -> None:
        self.entries: list[tuple[zipfile.ZipInfo, bytes]] = []

    def add(
        self, name: str, data: bytes = b"", *, mode: int = 0o100644, method: int = zipfile.ZIP_DEFLATED
    ) -> "Crafted":
        info = zipfile.ZipInfo("x", (1980, 1, 1, 0, 0, 0))
        info.filename = name  # past the constructor, which mends names
        info.external_attr = mode << 16
        info.compress_type = method
        info.create_system = 3
        self.entries.append((info, data))
        return self

    def good(self, **changed: bytes | None) -> "Crafted":
        for name, data in {**GOOD, **changed}.items():
            if data is not None:
                self.add(name, data)
        return self

    def raw(self) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for info, data in self.entries:
                archive.writestr(info, data)
        return buffer.getvalue()


def central(raw: bytes, name: str) -> int:
    """Where the list's record of this entry begins."""
    at = raw.index(b"PK\x01\x02")
    while True:
        name_bytes, extra, comment = struct.unpack_from("<HHH", raw, at + 28)
        if raw[at + 46 : at + 46 + name_bytes] == name.encode():
            return at
        at += 46 + name_bytes + extra + comment


def local(raw: bytes, name: str) -> int:
    offset: int = struct.unpack_from("<I", raw, central(raw, name) + 42)[0]
    return offset


def patched(raw: bytes, at: int, form: str, *values: int) -> bytes:
    packed = struct.pack(form, *values)
    return raw[:at] + packed + raw[at + len(packed) :]


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[bytes], Path]:
    def store(raw: bytes) -> Path:
        path = tmp_path / "crafted.apkg"
        path.write_bytes(raw)
        return path

    return store


class Craft:
    """What the tests of the checks share."""

    good = staticmethod(lambda **changed: Crafted().good(**changed))
    empty = staticmethod(Crafted)
    central = staticmethod(central)
    local = staticmethod(local)
    patched = staticmethod(patched)


@pytest.fixture(scope="session")
def craft() -> type[Craft]:
    return Craft
