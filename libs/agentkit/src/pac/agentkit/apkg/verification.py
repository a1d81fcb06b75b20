"""The whole look at a package file: inflates every byte, counting what really comes out, never what was declared."""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from pac.agentkit.apkg.findings import Findings
from pac.agentkit.apkg.inflating import Abandoned, Damaged, inflated, never
from pac.agentkit.apkg.inner import InnerArchives, Kept
from pac.agentkit.apkg.inspection import DEFAULT_LIMITS, inspect_open, ratio_problem
from pac.agentkit.apkg.model import Entry, Limits, PackagedFile, Problem, Verification
from pac.agentkit.apkg.names import shown

__all__ = ["Abandoned", "Damaged", "inflated", "never", "verify"]

# Where headers lie about where the data is, it would be read wrongly; where they declare too much, for nothing.
FATAL = frozenset(
    {"encrypted", "method", "header_missing", "overlap", "invalid_apkg", "too_many_entries", "unpacked_too_large"}
)


def verify(path: Path, limits: Limits = DEFAULT_LIMITS, given_up: Callable[[], bool] = never) -> Verification:
    """`inspect` plus every byte: checksums, true sizes, sha256 of each file. OSError when the file cannot be read.

    Ends with Abandoned soon after `given_up` has become true (asked from this thread, at every piece).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        findings = Findings(limits)
        inspection = inspect_open(descriptor, findings)
        entries = () if FATAL & findings.codes else inspection.entries
        inner = InnerArchives(findings, given_up)
        files = tuple(_files(descriptor, entries, inner, given_up))
        unpacked_bytes = sum(file.size_bytes for file in files)
        return Verification(inspection, files, unpacked_bytes, findings.told())
    finally:
        os.close(descriptor)


def _files(
    descriptor: int, entries: tuple[Entry, ...], inner: InnerArchives, given_up: Callable[[], bool]
) -> Iterator[PackagedFile]:
    findings = inner.findings
    for entry in entries:
        if ratio_problem(entry, findings.limits):
            continue  # told already, and not worth the work
        with Kept(inner, entry, entry.name) as kept:
            try:
                sha256 = _digest(descriptor, entry, kept.take, given_up)
            except Damaged as fault:
                findings.add(Problem(fault.code, f"{shown(entry.name)} {fault.what}", shown(entry.name)))
                continue
            kept.look()
        if not entry.is_folder:
            yield PackagedFile(entry.name, entry.size_bytes, sha256)


def _digest(descriptor: int, entry: Entry, take: Callable[[bytes], object], given_up: Callable[[], bool]) -> str:
    """The sha256 of the entry's bytes, each of them handed over; Damaged where they are not what it declares."""
    digest = hashlib.sha256()
    size = crc = 0
    for data in inflated(descriptor, entry, given_up):
        size += len(data)
        crc = zlib.crc32(data, crc)
        digest.update(data)
        take(data)
    if size != entry.size_bytes:
        raise Damaged("size_wrong", f"unpacks to {'more' if size > entry.size_bytes else 'less'} than it declares")
    if crc != entry.crc32:
        raise Damaged("checksum_wrong", "is damaged: its checksum does not match")
    return digest.hexdigest()
