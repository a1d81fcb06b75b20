"""The bytes of an entry, in pieces. Never more than one above what it declares, whatever it inflates to."""

import os
import zlib
from collections.abc import Callable, Iterator

from pac.agentkit.apkg.model import Entry

READ_BYTES = 256 * 1024
INFLATE_BYTES = 1024 * 1024


class Abandoned(Exception):  # noqa: N818 - nobody wants the result any more
    """The work was given up in the middle, as its caller wished."""


class Damaged(Exception):  # noqa: N818 - a finding, not an error of ours
    """The entry's bytes are not what its headers say; carries the code and the end of the sentence."""

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code
        self.what = what


def never() -> bool:
    return False


def inflated(descriptor: int, entry: Entry, given_up: Callable[[], bool] = never) -> Iterator[bytes]:
    """Pieces of at most INFLATE_BYTES. One byte too many ends it: that the entry lies is known then."""
    at, left, room = entry.data_offset, entry.packed_bytes, entry.size_bytes + 1
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    while left and room:
        packed = os.pread(descriptor, min(READ_BYTES, left), at)
        if not packed:
            raise Damaged("cut_short", "is cut short")
        at, left = at + len(packed), left - len(packed)
        if given_up():
            raise Abandoned
        for data in _pieces(inflater, packed, room) if entry.deflated else (packed[:room],):
            room -= len(data)
            yield data
        if room and (inflater.unused_data or (inflater.eof and left)):
            raise Damaged("hidden_data", "holds bytes behind its compressed data")
    if room and entry.deflated and not inflater.eof:
        raise Damaged("deflate_damaged", "is damaged: its compressed data does not end")


def _pieces(inflater: "zlib._Decompress", packed: bytes, room: int) -> Iterator[bytes]:
    is_full = True
    while room and (packed or is_full):  # a piece that is full may have left some of itself inside the inflater
        most = min(INFLATE_BYTES, room)
        try:
            data = inflater.decompress(packed, most)
        except zlib.error:
            raise Damaged("deflate_damaged", "is damaged: it cannot be inflated") from None
        packed = inflater.unconsumed_tail
        is_full = len(data) == most
        room -= len(data)
        if data:
            yield data
