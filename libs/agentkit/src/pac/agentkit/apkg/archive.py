"""Reads a zip's own records, strictly: whatever two zip readers could understand differently is a fault."""

import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from pac.agentkit.apkg.model import Entry, Limits, Problem
from pac.agentkit.apkg.names import shown

END = struct.Struct("<IHHHHIIH")
CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
LOCAL = struct.Struct("<IHHHHHIIIHH")
EXTRA = struct.Struct("<HH")
END_SIGNATURE, CENTRAL_SIGNATURE, LOCAL_SIGNATURE = 0x06054B50, 0x02014B50, 0x04034B50
LOCATOR64_SIGNATURE, LOCATOR64_BYTES = b"PK\x06\x07", 20
STORED, DEFLATED = 0, 8
ENCRYPTED = 0x0001 | 0x0040 | 0x2000
DESCRIPTOR, UTF8, DEFLATE_LEVEL = 0x0008, 0x0800, 0x0006
KNOWN_FLAGS = ENCRYPTED | DESCRIPTOR | UTF8 | DEFLATE_LEVEL
ZIP64_EXTRA, UNICODE_PATH_EXTRA = 0x0001, 0x7075
FULL32 = 0xFFFFFFFF
COMMENT_BYTES = 0xFFFF
NEWEST_FORMAT = 45  # zip 4.5; what comes later is encryption and other methods
LOCAL_EXTRA_GUESS = 64
REBUILD = "Build the package again with `pac build` or `pixell build`, writing to a file and not to a pipe."


@dataclass(frozen=True)
class Archive:
    """The entries that could be read, and every fault of the container. `readable` False: not a zip at all."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    readable: bool = True


def invalid(hint: str) -> Archive:
    return Archive((), (Problem("invalid_apkg", "Invalid APKG format", hint=hint),), readable=False)


def read_archive(descriptor: int, limits: Limits) -> Archive:
    """Container and headers of the zip open at `descriptor`; no entry is inflated."""
    size = os.fstat(descriptor).st_size
    tail_at = max(0, size - END.size - COMMENT_BYTES)
    tail = os.pread(descriptor, size - tail_at, tail_at)
    end_in_tail = _end_record(tail)
    if end_in_tail is None:
        return invalid("The file is not a zip archive, or its end is missing: it may have been cut short.")
    end_at = tail_at + end_in_tail
    _, disk, cd_disk, here, total, cd_bytes, cd_at, comment = END.unpack_from(tail, end_in_tail)
    problems = []
    if tail[max(0, end_in_tail - LOCATOR64_BYTES) :].startswith(LOCATOR64_SIGNATURE) or FULL32 in (cd_bytes, cd_at):
        return invalid("The archive uses zip64 records, which only archives above 4 GiB need. " + REBUILD)
    if disk or cd_disk or here != total:
        return invalid("The archive is one of several parts. " + REBUILD)
    if total > limits.entries:
        problem = Problem("too_many_entries", f"The package holds {total} entries, the limit is {limits.entries}")
        return Archive((), (problem,))
    if cd_at + cd_bytes > end_at or cd_bytes > limits.directory_bytes:
        return invalid("The archive's list of entries is damaged. " + REBUILD)
    if cd_at + cd_bytes != end_at:
        problems.append(Problem("leading_data", "The file holds data before the archive", hint=REBUILD))
    if comment:
        problems.append(Problem("archive_comment", "The archive carries a comment", hint=REBUILD))
    if end_at + END.size + comment != size:
        problems.append(Problem("trailing_data", "The file holds data after the archive", hint=REBUILD))
    directory = os.pread(descriptor, cd_bytes, end_at - cd_bytes)
    reader = _Reader(descriptor, limits, shift=end_at - cd_bytes - cd_at, data_ends_at=end_at - cd_bytes)
    return reader.read(directory, total, problems)


def _end_record(tail: bytes) -> int | None:
    """Where the end record is: the last one whose comment fits, so that data behind it is seen as such."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + END.size <= len(tail) and at + END.size + END.unpack_from(tail, at)[7] <= len(tail):
            return at
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return None


@dataclass(frozen=True)
class _Reader:
    descriptor: int
    limits: Limits
    shift: int
    data_ends_at: int

    def read(self, directory: bytes, total: int, problems: list[Problem]) -> Archive:
        entries: list[Entry] = []
        extents: list[tuple[int, int, str]] = []
        at = 0
        for _ in range(total):
            if at + CENTRAL.size > len(directory):
                return invalid("The archive's list of entries is cut short. " + REBUILD)
            fields = CENTRAL.unpack_from(directory, at)
            signature, name_bytes, extra_bytes, comment_bytes = fields[0], *fields[10:13]
            body_at = at + CENTRAL.size
            at = body_at + name_bytes + extra_bytes + comment_bytes
            if signature != CENTRAL_SIGNATURE or at > len(directory):
                return invalid("The archive's list of entries is damaged. " + REBUILD)
            raw_name = directory[body_at : body_at + name_bytes]
            extra = directory[body_at + name_bytes : body_at + name_bytes + extra_bytes]
            entry, extent = self._entry(fields, raw_name, extra, problems)
            entries.append(entry)
            extents.append((*extent, entry.name))
        if at != len(directory):
            problems.append(Problem("hidden_records", "The archive's list holds more than it says", hint=REBUILD))
        if not any(problem.code == "data_descriptor" for problem in problems):  # those leave gaps, and are refused
            problems.extend(_gaps(extents, self.shift, self.data_ends_at))
        return Archive(tuple(entries), tuple(problems))

    def _entry(
        self, fields: tuple[int, ...], raw_name: bytes, extra: bytes, problems: list[Problem]
    ) -> tuple[Entry, tuple[int, int]]:
        """One entry of the list beside its own header; its extent is (first byte, byte after the last)."""
        flags, method, crc, packed, size = fields[3], fields[4], *fields[7:10]
        comment_bytes, disk, attributes, offset = fields[12], fields[13], fields[15], fields[16] + self.shift
        name, name_fault = _decoded(raw_name, flags)
        found = [name_fault] if name_fault else []
        found.extend(_flag_faults(flags, method))
        found.extend(_mode_faults(name, attributes >> 16, size))
        if fields[2] & 0xFF > NEWEST_FORMAT and method in (STORED, DEFLATED):
            found.append(("format_too_new", "asks for a newer zip format than packages may use"))
        if comment_bytes:
            found.append(("entry_comment", "carries a comment"))
        if disk or FULL32 in (packed, size, fields[16]):
            found.append(("zip64_entry", "uses zip64 or another part of the archive"))
        if method == STORED and packed != size:
            found.append(("sizes_disagree", "is stored as it is, but in another size"))
        found.extend(_extra_faults(extra))
        header = os.pread(self.descriptor, LOCAL.size + len(raw_name) + LOCAL_EXTRA_GUESS, offset)
        data_at = offset
        if len(header) < LOCAL.size or (local := LOCAL.unpack_from(header))[0] != LOCAL_SIGNATURE:
            found.append(("header_missing", "has no header of its own"))
        else:
            data_at = offset + LOCAL.size + local[9] + local[10]
            found.extend(self._local_faults(local, header, (flags, method, crc, packed, size), raw_name, offset))
        problems.extend(Problem(code, f"{shown(name)} {what}", shown(name), REBUILD) for code, what in found)
        entry = Entry(name, size, packed, crc, method == DEFLATED, data_at)
        return entry, (offset, data_at + packed)

    def _local_faults(
        self, local: tuple[int, ...], header: bytes, listed: tuple[int, ...], raw_name: bytes, offset: int
    ) -> Iterator[tuple[str, str]]:
        name_bytes, extra_bytes = local[9], local[10]
        own = (local[2], local[3], *local[6:9])
        descriptor_used = bool((local[2] | listed[0]) & DESCRIPTOR)
        if own[:2] != listed[:2] or (own != listed and not descriptor_used):
            yield "header_disagrees", "is described differently in its header and in the archive's list"
        if name_bytes != len(raw_name) or header[LOCAL.size : LOCAL.size + name_bytes] != raw_name:
            yield "header_name_disagrees", "has another name in its header than in the archive's list"
        if extra_bytes:
            yield from _extra_faults(os.pread(self.descriptor, extra_bytes, offset + LOCAL.size + name_bytes))


def _decoded(raw: bytes, flags: int) -> tuple[str, tuple[str, str] | None]:
    if raw.isascii():
        return raw.decode("ascii"), None
    fault = ("name_not_utf8", "has a name that is not marked as UTF-8")
    try:
        return raw.decode("utf-8"), None if flags & UTF8 else fault
    except UnicodeDecodeError:
        return raw.decode("utf-8", "replace"), ("name_not_utf8", "has a name that is not UTF-8")


def _flag_faults(flags: int, method: int) -> Iterator[tuple[str, str]]:
    if flags & ENCRYPTED:
        yield "encrypted", "is encrypted"
    if flags & DESCRIPTOR:
        yield "data_descriptor", "gives its size only after its data (the package was written to a pipe)"
    if flags & ~KNOWN_FLAGS:
        yield "unknown_flags", "uses a feature of zip that packages may not use"
    if method not in (STORED, DEFLATED):
        yield "method", f"is compressed by method {method}; only stored and deflate are allowed"


def _mode_faults(name: str, mode: int, size: int) -> Iterator[tuple[str, str]]:
    kind = stat.S_IFMT(mode)
    is_folder = name.endswith("/")
    if kind == stat.S_IFLNK:
        yield "symlink", "is a symbolic link"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        yield "special_file", "is neither a file nor a folder"
    elif kind and (kind == stat.S_IFDIR) != is_folder:
        yield "kind_disagrees", "is a folder by its mode or by its name, but not by both"
    if is_folder and size:
        yield "folder_with_content", "is a folder with content"


def _extra_faults(extra: bytes) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(extra):
        if at + EXTRA.size > len(extra):
            yield "extra_damaged", "has a damaged extra field"
            return
        kind, length = EXTRA.unpack_from(extra, at)
        at += EXTRA.size + length
        if at > len(extra):
            yield "extra_damaged", "has a damaged extra field"
            return
        if kind == ZIP64_EXTRA:
            yield "zip64_entry", "uses zip64 or another part of the archive"
        if kind == UNICODE_PATH_EXTRA:
            yield "second_name", "carries a second name"


def _gaps(extents: list[tuple[int, int, str]], shift: int, data_ends_at: int) -> Iterator[Problem]:
    """Entries must stand shoulder to shoulder: bytes shared are a bomb, bytes between are hidden."""
    expected = shift
    for begin, end, name in sorted(extents):
        if begin < expected:
            yield Problem("overlap", f"{shown(name)} shares bytes with another entry", shown(name), REBUILD)
        elif begin > expected:
            yield Problem("hidden_data", f"There are unlisted bytes before {shown(name)}", shown(name), REBUILD)
        expected = max(expected, end)
    if expected > data_ends_at:
        yield Problem("overlap", "An entry reaches into the archive's list", hint=REBUILD)
    elif expected < data_ends_at:
        yield Problem("hidden_data", "There are unlisted bytes before the archive's list", hint=REBUILD)


def read_entry(descriptor: int, entry: Entry, limit_bytes: int) -> bytes | None:
    """The inflated bytes of a small entry, or None when it is larger than the limit or damaged."""
    if entry.size_bytes > limit_bytes or entry.packed_bytes > limit_bytes + 1024:
        return None
    packed = os.pread(descriptor, entry.packed_bytes, entry.data_offset)
    data = packed
    if entry.deflated:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            data = inflater.decompress(packed, limit_bytes + 1)
        except zlib.error:
            return None
        if not inflater.eof or inflater.unused_data:
            return None
    return data if len(data) == entry.size_bytes and zlib.crc32(data) == entry.crc32 else None
