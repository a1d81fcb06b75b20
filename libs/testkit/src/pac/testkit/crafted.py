"""Zip files written byte by byte, so that every field of every record can say what it should not."""

import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

LOCAL = struct.Struct("<IHHHHHIIIHH")
LOCAL_FIELDS = ("signature", "needed", "flags", "method", "time", "date", "crc", "packed", "size", "names", "extras")
LISTED = struct.Struct("<IHHHHHHIIIHHHHHII")
LISTED_FIELDS = (
    *("signature", "made_by", "needed", "flags", "method", "time", "date", "crc", "packed", "size", "names", "extras"),
    *("comments", "disk", "internal", "external", "offset"),
)
END = struct.Struct("<IHHHHIIH")
END_FIELDS = ("signature", "disk", "list_disk", "here", "total", "list_bytes", "list_at", "comments")
STORED, DEFLATED, UTF8, UNIX = 0, 8, 0x0800, 3
FILE, FOLDER = 0o100644, 0o040755


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def repeated(piece: bytes, times: int) -> bytes:
    """Deflated data that inflates to `times` pieces, made in no time."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(piece) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * times + packer.flush()


@dataclass(frozen=True)
class Part:
    """One entry. `fields` replaces values in both of its headers, `own` in its own, `listed` in the archive's list."""

    name: str | bytes
    data: bytes = b""
    method: int = DEFLATED
    mode: int = FILE
    packed: bytes | None = None
    extra: bytes = b""
    own_extra: bytes | None = None
    own_name: bytes | None = None
    comment: bytes = b""
    before: bytes = b""
    after: bytes = b""
    is_listed: bool = True
    fields: Mapping[str, int] = field(default_factory=dict)
    own: Mapping[str, int] = field(default_factory=dict)
    listed: Mapping[str, int] = field(default_factory=dict)

    @property
    def raw_name(self) -> bytes:
        return self.name if isinstance(self.name, bytes) else self.name.encode("utf-8", "surrogatepass")

    @property
    def content(self) -> bytes:
        if self.packed is not None:
            return self.packed
        return deflated(self.data) if self.method == DEFLATED else self.data

    def values(self, name: bytes, extra: bytes, offset: int) -> dict[str, int]:
        return {
            "made_by": UNIX << 8 | 20,
            "needed": 20,
            "flags": 0 if self.raw_name.isascii() else UTF8,
            "method": self.method,
            "time": 0,
            "date": 0x21,
            "crc": zlib.crc32(self.data),
            "packed": len(self.content),
            "size": len(self.data),
            "names": len(name),
            "extras": len(extra),
            "comments": len(self.comment),
            "disk": 0,
            "internal": 0,
            "external": self.mode << 16 | (0x10 if self.raw_name.endswith(b"/") else 0),
            "offset": offset,
            **self.fields,
        }

    def header(self) -> bytes:
        name = self.raw_name if self.own_name is None else self.own_name
        extra = self.extra if self.own_extra is None else self.own_extra
        values = {"signature": 0x04034B50, **self.values(name, extra, 0), **self.own}
        return LOCAL.pack(*(values[name] for name in LOCAL_FIELDS)) + name + extra

    def record(self, offset: int) -> bytes:
        values = {"signature": 0x02014B50, **self.values(self.raw_name, self.extra, offset), **self.listed}
        return LISTED.pack(*(values[name] for name in LISTED_FIELDS)) + self.raw_name + self.extra + self.comment


@dataclass(frozen=True)
class Zip:
    """An archive: its parts, what stands between its records, and what its end says instead of the truth."""

    parts: tuple[Part, ...]
    before_list: bytes = b""
    in_list: bytes = b""
    before_end: bytes = b""
    comment: bytes = b""
    end: Mapping[str, int] = field(default_factory=dict)

    def raw(self) -> bytes:
        body, records = bytearray(), bytearray()
        listed = [part for part in self.parts if part.is_listed]
        for part in self.parts:
            body += part.before
            if part.is_listed:
                records += part.record(len(body))
            body += part.header() + part.content + part.after
        body += self.before_list
        records += self.in_list
        values = {
            "signature": 0x06054B50,
            "disk": 0,
            "list_disk": 0,
            "here": len(listed),
            "total": len(listed),
            "list_bytes": len(records),
            "list_at": len(body),
            "comments": len(self.comment),
            **self.end,
        }
        end = END.pack(*(values[name] for name in END_FIELDS))
        return bytes(body + records + self.before_end + end + self.comment)


MAIN = "src/main.py"
PACKAGE_JSON = (
    b'{"manifest": {"version": "1.0", "name": "echo-agent", "entrypoint": "src.main:handler",'
    b' "metadata": {"version": "1.2.0"}}}'
)
GOOD = (
    Part(".env", b"GREETING=hello\n"),
    Part(".pixell/package.json", PACKAGE_JSON),
    Part(MAIN, b"def handler(context):\n    return context\n"),
)


def package(*more: Part, without: Iterable[str] = (), **archive: object) -> Zip:
    """A sound package, with more parts, without some of its own, with other values of the archive itself."""
    left_out = frozenset(without)
    return Zip((*(part for part in GOOD if part.name not in left_out), *more), **archive)  # type: ignore[arg-type]


def with_main(**changes: object) -> Zip:
    """A sound package but for its src/main.py."""
    return package(replace(GOOD[2], **changes), without=[MAIN])  # type: ignore[arg-type]
