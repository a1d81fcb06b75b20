"""Archives inside a package. PAC never unpacks them, an agent may: they are counted as if somebody did, level by level.

How they are made is their own affair (a wheel, an office document); only what they would grow to is looked at.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import IO, Self

from pac.agentkit.apkg.archive import read_archive
from pac.agentkit.apkg.findings import Findings
from pac.agentkit.apkg.inflating import Damaged, inflated
from pac.agentkit.apkg.model import MIB, Entry, Problem
from pac.agentkit.apkg.names import shown

MAGIC = b"PK\x03\x04"
UNREADABLE = frozenset({"encrypted", "method", "header_missing"})
HINT = "Put the files into the package as they are, or let requirements.txt bring them."


@dataclass
class InnerArchives:
    """What all archives inside one package come to."""

    findings: Findings
    given_up: Callable[[], bool]
    entries: int = 0
    unpacked_bytes: int = 0
    _is_over: bool = False

    def look(self, descriptor: int, where: str, depth: int) -> None:
        """Counts the archive open at `descriptor`; what cannot be read as a zip is just a file."""
        limits = self.findings.limits
        if self._is_over:
            return
        if depth > limits.archive_depth:
            self.refuse(where, f"archives in it are more than {limits.archive_depth} deep")
            return
        own = Findings(limits)
        entries = read_archive(descriptor, limits, own)
        if entries is None:
            return
        self.entries += len(entries)
        self.unpacked_bytes += sum(entry.size_bytes for entry in entries)
        if "too_many_entries" in own.codes or self.entries > limits.entries:
            self.refuse(where, f"archives in the package hold more than {limits.entries} entries")
        elif "overlap" in own.codes or self.unpacked_bytes > limits.unpacked_bytes:
            self.refuse(where, f"archives in the package unpack to more than {limits.unpacked_bytes // MIB} MiB")
        elif not UNREADABLE & own.codes:
            for entry in entries:
                self._look_at(descriptor, entry, f"{where}/{entry.name}", depth)

    def _look_at(self, descriptor: int, entry: Entry, where: str, depth: int) -> None:
        with Kept(self, entry, where, depth) as kept:
            try:
                for data in inflated(descriptor, entry, self.given_up):
                    if not kept.take(data):
                        return
            except Damaged:
                return
            kept.look()

    def refuse(self, where: str, what: str) -> None:
        """One is enough: nothing further is counted."""
        self._is_over = True
        self.findings.add(Problem("inner_archive", f"{shown(where)}: {what}", shown(where), HINT))


@dataclass
class Kept:
    """Keeps an entry's bytes if they begin as an archive does, in a file without a name that ends with the context."""

    inner: InnerArchives
    entry: Entry
    where: str
    depth: int = 1
    _file: IO[bytes] | None = field(default=None, repr=False)
    _is_none: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    def take(self, data: bytes) -> bool:
        """Whether it is an archive, as far as is known."""
        if self._file is None and not self._is_none:
            self._begin(data)
        if self._file is None:
            return False
        self._file.write(data)
        return True

    def _begin(self, data: bytes) -> None:
        most = self.inner.findings.limits.archive_bytes
        self._is_none = not data.startswith(MAGIC)
        if not self._is_none and self.entry.size_bytes > most:
            self._is_none = True
            self.inner.refuse(self.where, f"it is an archive of more than {most // MIB} MiB")
        if not self._is_none:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed at the end of the context

    def look(self) -> None:
        if self._file is not None:
            self._file.flush()
            self.inner.look(self._file.fileno(), self.where, self.depth + 1)
