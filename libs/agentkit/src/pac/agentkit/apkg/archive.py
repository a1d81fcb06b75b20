"""Reads a zip's own records, strictly: whatever two zip readers could understand differently is a fault."""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from pac.agentkit.apkg.findings import Findings
from pac.agentkit.apkg.headers import CENTRAL, FULL32, REBUILD, HeaderReader, Listed
from pac.agentkit.apkg.model import Entry, Limits, Problem
from pac.agentkit.apkg.names import shown

END = struct.Struct("<IHHHHIIH")
CENTRAL_SIGNATURE = 0x02014B50
LOCATOR64_SIGNATURE, LOCATOR64_BYTES = b"PK\x06\x07", 20
COMMENT_BYTES = 0xFFFF
NO_ZIP = "The file is not a zip archive, or its end is missing: it may have been cut short."
DAMAGED = f"The archive's list of entries is damaged. {REBUILD}"


class _NoZip(ValueError):  # noqa: N818 - it says what the file is not
    """Nothing can be read; the text is the hint."""


@dataclass(frozen=True)
class _End:
    """The end record: where the list of entries stands, and how many bytes the archive is behind its own offsets."""

    at: int
    total: int
    list_bytes: int
    shift: int

    @property
    def list_at(self) -> int:
        return self.at - self.list_bytes


def read_archive(descriptor: int, limits: Limits, findings: Findings) -> tuple[Entry, ...] | None:
    """The entries of the zip open at `descriptor`, none of them inflated; None when it cannot be read as a zip at all.

    Every fault of the container and of the headers is added to the findings.
    """
    try:
        end = _end_of(descriptor, limits, findings)
        listed = _listed(descriptor, end, findings) if end.total <= limits.entries else None
    except _NoZip as fault:
        findings.add(Problem("invalid_apkg", "Invalid APKG format", hint=str(fault)))
        return None
    if listed is None:
        text = f"The package holds {end.total} entries, the limit is {limits.entries}"
        findings.add(Problem("too_many_entries", text))
        return ()
    reader = HeaderReader(descriptor, limits, end.shift)
    read = [reader.entry(one, findings) for one in listed]
    if "data_descriptor" not in findings.codes:  # those leave gaps, and are refused
        extents = [(*extent, entry.name) for entry, extent in read]
        findings.extend(_gaps(extents, end.shift, end.list_at))
    return tuple(entry for entry, _ in read)


def _end_of(descriptor: int, limits: Limits, findings: Findings) -> _End:
    size = os.fstat(descriptor).st_size
    tail_at = max(0, size - END.size - COMMENT_BYTES)
    tail = os.pread(descriptor, size - tail_at, tail_at)
    in_tail = _end_record(tail)
    if in_tail is None:
        raise _NoZip(NO_ZIP)
    at = tail_at + in_tail
    _, disk, list_disk, here, total, list_bytes, list_at, comment = END.unpack_from(tail, in_tail)
    if tail[max(0, in_tail - LOCATOR64_BYTES) :].startswith(LOCATOR64_SIGNATURE) or FULL32 in (list_bytes, list_at):
        raise _NoZip(f"The archive uses zip64 records, which only archives above 4 GiB need. {REBUILD}")
    if disk or list_disk or here != total:
        raise _NoZip(f"The archive is one of several parts. {REBUILD}")
    if list_at + list_bytes > at or list_bytes > limits.directory_bytes:
        raise _NoZip(DAMAGED)
    for is_there, code, what in (
        (list_at + list_bytes != at, "leading_data", "The file holds data before the archive"),
        (comment, "archive_comment", "The archive carries a comment"),
        (at + END.size + comment != size, "trailing_data", "The file holds data after the archive"),
    ):
        if is_there:
            findings.add(Problem(code, what, hint=REBUILD))
    return _End(at, total, list_bytes, shift=at - list_bytes - list_at)


def _end_record(tail: bytes) -> int | None:
    """Where the end record is: the last one whose comment fits, so that data behind it is seen as such."""
    at = tail.rfind(b"PK\x05\x06")
    while at >= 0:
        if at + END.size <= len(tail) and at + END.size + END.unpack_from(tail, at)[7] <= len(tail):
            return at
        at = tail.rfind(b"PK\x05\x06", 0, at)
    return None


def _listed(descriptor: int, end: _End, findings: Findings) -> list[Listed]:
    directory = os.pread(descriptor, end.list_bytes, end.list_at)
    found: list[Listed] = []
    at = 0
    for _ in range(end.total):
        if at + CENTRAL.size > len(directory):
            raise _NoZip(f"The archive's list of entries is cut short. {REBUILD}")
        fields = CENTRAL.unpack_from(directory, at)
        name_bytes, extra_bytes, comment_bytes = fields[10:13]
        name_at = at + CENTRAL.size
        extra_at = name_at + name_bytes
        at = extra_at + extra_bytes + comment_bytes
        if fields[0] != CENTRAL_SIGNATURE or at > len(directory):
            raise _NoZip(DAMAGED)
        found.append(Listed(fields, directory[name_at:extra_at], directory[extra_at : extra_at + extra_bytes]))
    if at != len(directory):
        findings.add(Problem("hidden_records", "The archive's list holds more than it says", hint=REBUILD))
    return found


def _gaps(extents: list[tuple[int, int, str]], begins_at: int, ends_at: int) -> Iterator[Problem]:
    """Entries must stand shoulder to shoulder: bytes shared are a bomb, bytes between are hidden."""
    expected = begins_at
    for begin, end, name in sorted(extents):
        if begin < expected:
            yield Problem("overlap", f"{shown(name)} shares bytes with another entry", shown(name), REBUILD)
        elif begin > expected:
            yield Problem("hidden_data", f"There are unlisted bytes before {shown(name)}", shown(name), REBUILD)
        expected = max(expected, end)
    if expected > ends_at:
        yield Problem("overlap", "An entry reaches into the archive's list", hint=REBUILD)
    elif expected < ends_at:
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
