"""The whole look at a package file: inflates every byte, counting what really comes out, never what was declared."""

import hashlib
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pac.agentkit.apkg.inspection import DEFAULT_LIMITS, inspect_open, limited, ratio_problem, too_large
from pac.agentkit.apkg.model import Entry, Limits, PackagedFile, Problem, Verification
from pac.agentkit.apkg.names import shown

READ_BYTES = 256 * 1024
INFLATE_BYTES = 1024 * 1024
# Where the headers lie about where the data is, its bytes would be read wrongly or without bound.
FATAL = frozenset({"encrypted", "method", "header_missing", "overlap", "invalid_apkg", "too_many_entries"})


class Abandoned(Exception):  # noqa: N818 - nobody wants the result any more
    """The work was given up in the middle, as its caller wished."""


def never() -> bool:
    return False


class Damaged(Exception):  # noqa: N818 - a finding, not an error of ours
    """The entry's bytes are not what its headers say; carries the code and the end of the sentence."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code
        self.what = what


@dataclass
class _Budget:
    limits: Limits
    given_up: Callable[[], bool]
    spent_bytes: int = 0
    exhausted: bool = field(default=False)


def verify(path: Path, limits: Limits = DEFAULT_LIMITS, given_up: Callable[[], bool] = never) -> Verification:
    """`inspect` plus every byte: checksums, true sizes, sha256 of each file. OSError when the file cannot be read.

    Ends with Abandoned soon after `given_up` has become true (asked from this thread, at every piece).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        inspection = inspect_open(descriptor, limits)
        budget = _Budget(limits, given_up)
        files: list[PackagedFile] = []
        problems = list(inspection.problems)
        if not FATAL & {problem.code for problem in problems}:
            for entry in inspection.entries:
                _verify_entry(descriptor, entry, budget, files, problems)
                if budget.exhausted:
                    problems.append(too_large(budget.spent_bytes, limits))
                    break
        unique = tuple(dict.fromkeys(problems))
        return Verification(inspection, tuple(files), budget.spent_bytes, limited(unique, limits))
    finally:
        os.close(descriptor)


def _verify_entry(
    descriptor: int, entry: Entry, budget: _Budget, files: list[PackagedFile], problems: list[Problem]
) -> None:
    digest = hashlib.sha256()
    before = budget.spent_bytes
    try:
        _inflate(descriptor, entry, budget, digest.update)
    except Damaged as fault:
        problems.append(Problem(fault.code, f"{shown(entry.name)} {fault.what}", shown(entry.name)))
    else:
        if not entry.is_folder and not budget.exhausted:
            files.append(PackagedFile(entry.name, entry.size_bytes, digest.hexdigest()))
    if problem := ratio_problem(entry, budget.spent_bytes - before, budget.limits):
        problems.append(problem)


def _inflate(descriptor: int, entry: Entry, budget: _Budget, take: Callable[[bytes], None]) -> None:
    """Hands over the entry's bytes; stops at the budget, raises Damaged where they end too early or too late."""
    size = crc = 0
    for data in inflated(descriptor, entry, budget.given_up):
        size += len(data)
        budget.spent_bytes += len(data)
        if budget.spent_bytes > budget.limits.unpacked_bytes:
            budget.exhausted = True
            return
        if size > entry.size_bytes:
            raise Damaged("size_wrong", "unpacks to more than it declares")
        crc = zlib.crc32(data, crc)
        take(data)
    if size != entry.size_bytes:
        raise Damaged("size_wrong", "unpacks to less than it declares")
    if crc != entry.crc32:
        raise Damaged("checksum_wrong", "is damaged: its checksum does not match")


def inflated(descriptor: int, entry: Entry, given_up: Callable[[], bool] = never) -> Iterator[bytes]:
    """The entry's bytes in pieces of at most INFLATE_BYTES, whatever they inflate to."""
    at, left = entry.data_offset, entry.packed_bytes
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    while left:
        packed = os.pread(descriptor, min(READ_BYTES, left), at)
        if not packed:
            raise Damaged("cut_short", "is cut short")
        at, left = at + len(packed), left - len(packed)
        if given_up():
            raise Abandoned
        if entry.deflated:
            yield from _pieces(inflater, packed)
        else:
            yield packed
        if inflater.unused_data or (inflater.eof and left):
            raise Damaged("hidden_data", "holds bytes behind its compressed data")
    if entry.deflated and not inflater.eof:
        raise Damaged("deflate_damaged", "is damaged: its compressed data does not end")


def _pieces(inflater: "zlib._Decompress", packed: bytes) -> Iterator[bytes]:
    while packed:
        try:
            data = inflater.decompress(packed, INFLATE_BYTES)
        except zlib.error:
            raise Damaged("deflate_damaged", "is damaged: it cannot be inflated") from None
        packed = inflater.unconsumed_tail
        if data:
            yield data
