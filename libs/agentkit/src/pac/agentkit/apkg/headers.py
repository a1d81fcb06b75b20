"""One entry of a zip: its record in the archive's list beside its own header. What two readers could differ about."""

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from pac.agentkit.apkg.findings import Findings
from pac.agentkit.apkg.model import Entry, Limits, Problem
from pac.agentkit.apkg.names import shown

CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
LOCAL = struct.Struct("<IHHHHHIIIHH")
EXTRA = struct.Struct("<HH")
LOCAL_SIGNATURE = 0x04034B50
STORED, DEFLATED = 0, 8
ENCRYPTED = 0x0001 | 0x0040 | 0x2000
DESCRIPTOR, UTF8, DEFLATE_LEVEL = 0x0008, 0x0800, 0x0006
KNOWN_FLAGS = ENCRYPTED | DESCRIPTOR | UTF8 | DEFLATE_LEVEL
ZIP64_EXTRA, UNICODE_PATH_EXTRA = 0x0001, 0x7075
HARMLESS_EXTRAS = frozenset({0x000A, 0x5455, 0x5855, 0x7855, 0x7875, 0xCAFE})  # times, owners, the mark of a jar
KNOWN_SYSTEMS = frozenset({0, 3, 10, 11, 14, 19})  # FAT, Unix, NTFS (two numbers are in use), VFAT, macOS
DOS_FOLDER = 0x10
FULL32 = 0xFFFFFFFF
NEWEST_FORMAT = 45  # zip 4.5; what comes later is encryption and other methods
LOCAL_EXTRA_GUESS = 64
REBUILD = "Build the package again with `pac build` or `pixell build`, writing to a file and not to a pipe."

Fault = tuple[str, str]


@dataclass(frozen=True)
class Listed:
    """An entry's record in the archive's list."""

    fields: tuple[int, ...]
    raw_name: bytes
    extra: bytes

    @property
    def compared(self) -> tuple[int, ...]:
        """Flags, method, checksum, packed and unpacked size: what its own header says as well."""
        return (self.fields[3], self.fields[4], *self.fields[7:10])


@dataclass(frozen=True)
class HeaderReader:
    """Reads entries of the file open at `descriptor`; `shift`: how far the archive stands behind its own offsets."""

    descriptor: int
    limits: Limits
    shift: int

    def entry(self, listed: Listed, findings: Findings) -> tuple[Entry, tuple[int, int]]:
        """The entry and its extent: first byte, byte after the last."""
        flags, method, crc, packed, size = listed.compared
        offset = listed.fields[16] + self.shift
        name, name_fault = _decoded(listed.raw_name, flags)
        found = [name_fault] if name_fault else []
        found.extend(_record_faults(listed, name))
        found.extend(_extra_faults(listed.extra, self.limits))
        header = os.pread(self.descriptor, LOCAL.size + len(listed.raw_name) + LOCAL_EXTRA_GUESS, offset)
        data_at = offset
        if len(header) < LOCAL.size or (local := LOCAL.unpack_from(header))[0] != LOCAL_SIGNATURE:
            found.append(("header_missing", "has no header of its own"))
        else:
            data_at = offset + LOCAL.size + local[9] + local[10]
            found.extend(self._local_faults(local, header, listed, offset))
        findings.extend(Problem(code, f"{shown(name)} {what}", shown(name), REBUILD) for code, what in found)
        return Entry(name, size, packed, crc, method == DEFLATED, data_at), (offset, data_at + packed)

    def _local_faults(self, local: tuple[int, ...], header: bytes, listed: Listed, offset: int) -> Iterator[Fault]:
        name_bytes, extra_bytes = local[9], local[10]
        own, flags = (local[2], local[3], *local[6:9]), listed.fields[3]
        descriptor_used = bool((local[2] | flags) & DESCRIPTOR)
        if own[:2] != listed.compared[:2] or (own != listed.compared and not descriptor_used):
            yield "header_disagrees", "is described differently in its header and in the archive's list"
        if name_bytes != len(listed.raw_name) or header[LOCAL.size : LOCAL.size + name_bytes] != listed.raw_name:
            yield "header_name_disagrees", "has another name in its header than in the archive's list"
        if extra_bytes:
            most = min(extra_bytes, self.limits.extra_bytes + 1)
            extra = os.pread(self.descriptor, most, offset + LOCAL.size + name_bytes)
            yield from _extra_faults(extra, self.limits)


def _decoded(raw: bytes, flags: int) -> tuple[str, Fault | None]:
    if raw.isascii():
        return raw.decode("ascii"), None
    fault = ("name_not_utf8", "has a name that is not marked as UTF-8")
    try:
        return raw.decode("utf-8"), None if flags & UTF8 else fault
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace"), ("name_not_utf8", "has a name that is not UTF-8")


def _record_faults(listed: Listed, name: str) -> Iterator[Fault]:
    made_by, needed = listed.fields[1] >> 8, listed.fields[2] & 0xFF
    comment_bytes, disk, attributes, offset = listed.fields[12], listed.fields[13], *listed.fields[15:17]
    flags, method, _, packed, size = listed.compared
    yield from _flag_faults(flags, method)
    yield from _kind_faults(name, attributes, size)
    if made_by not in KNOWN_SYSTEMS:
        yield "system_unknown", "was packed on a system that readers know nothing of"
    if needed > NEWEST_FORMAT and method in (STORED, DEFLATED):
        yield "format_too_new", "asks for a newer zip format than packages may use"
    if comment_bytes:
        yield "entry_comment", "carries a comment"
    if disk or FULL32 in (packed, size, offset):
        yield "zip64_entry", "uses zip64 or another part of the archive"
    if method == STORED and packed != size:
        yield "sizes_disagree", "is stored as it is, but in another size"


def _flag_faults(flags: int, method: int) -> Iterator[Fault]:
    if flags & ENCRYPTED:
        yield "encrypted", "is encrypted"
    if flags & DESCRIPTOR:
        yield "data_descriptor", "gives its size only after its data (the package was written to a pipe)"
    if flags & ~KNOWN_FLAGS:
        yield "unknown_flags", "uses a feature of zip that packages may not use"
    if method not in (STORED, DEFLATED):
        yield "method", f"is compressed by method {method}; only stored and deflate are allowed"


def _kind_faults(name: str, attributes: int, size: int) -> Iterator[Fault]:
    """Readers go by the Unix mode, by the DOS attribute or by the slash at the end: all must say the same."""
    kind = stat.S_IFMT(attributes >> 16)
    is_folder = name.endswith("/")
    if kind == stat.S_IFLNK:
        yield "symlink", "is a symbolic link"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield "special_file", "is neither a file nor a folder"
    elif (kind and (kind == stat.S_IFDIR) != is_folder) or (attributes & DOS_FOLDER and not is_folder):
        yield "kind_disagrees", "is a folder by its mode or by its name, but not by both"
    if is_folder and size:
        yield "folder_with_content", "is a folder with content"


def _extra_faults(extra: bytes, limits: Limits) -> Iterator[Fault]:
    """Each fault once, however many fields there are."""
    if len(extra) > limits.extra_bytes:
        yield "extra_long", f"has more than {limits.extra_bytes} bytes of extra fields"
        return
    kinds: set[int] = set()
    at = 0
    while at < len(extra):
        if at + EXTRA.size > len(extra):
            break
        kind, length = EXTRA.unpack_from(extra, at)
        kinds.add(kind)
        at += EXTRA.size + length
    if at != len(extra):
        yield "extra_damaged", "has a damaged extra field"
    if ZIP64_EXTRA in kinds:
        yield "zip64_entry", "uses zip64 or another part of the archive"
    if UNICODE_PATH_EXTRA in kinds:
        yield "second_name", "carries a second name"
    if kinds - HARMLESS_EXTRAS - {ZIP64_EXTRA, UNICODE_PATH_EXTRA}:
        yield "extra_unknown", "has an extra field that packages may not have"
