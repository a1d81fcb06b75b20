"""A request's body under a budget, as aiohttp's multipart reader wants it: bytes, idle time, rate.

aiohttp alone would swallow an endless preamble, endless parts and one byte every other second (facts/traps.md).
Only time spent waiting for the client counts against its rate, so that a slow store of ours is not its fault.
"""

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass

from aiohttp import StreamReader

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.uploads import FORM_BYTES_MAX

LINE_MAX_BYTES = 8190
MIB = 1024 * 1024


@dataclass(frozen=True)
class BodyLimits:
    """`overhead_bytes`: everything that is not the file's content."""

    file_bytes: int
    overhead_bytes: int = FORM_BYTES_MAX
    idle_seconds: float = 20.0
    grace_seconds: float = 10.0
    minimum_bytes_per_second: int = 8192


def megabytes(size_bytes: int) -> int:
    """Started megabytes, as everywhere in PAC: of 1,048,576 bytes."""
    return -(-size_bytes // MIB)


def too_large(limits: BodyLimits, size_bytes: int | None = None) -> Refused:
    """The real client shows nothing but this sentence, which becomes the status line's reason phrase."""
    limit = limits.file_bytes // MIB if limits.file_bytes >= MIB else 0
    shown_limit = f"{limit} MB" if limit else f"{limits.file_bytes} bytes"
    size = f"{megabytes(size_bytes)} MB" if size_bytes is not None else f"more than {shown_limit}"
    return Refused(
        ErrorCode.TOO_LARGE,
        f"Package too large: {size}, limit is {shown_limit}",
        max_size_bytes=limits.file_bytes,
    )


class BoundedBody:
    """Reads like aiohttp's StreamReader. `payload_bytes` is told by the reader of the file: it is not overhead."""

    def __init__(self, stream: StreamReader, limits: BodyLimits, declared_bytes: int | None = None) -> None:
        self._stream = stream
        self._limits = limits
        self._back = b""
        self._waited_seconds = 0.0
        self.declared_bytes = declared_bytes
        self.read_bytes = 0
        self.payload_bytes = 0

    async def read(self, n: int = -1) -> bytes:
        if self._back:
            data, self._back = (self._back, b"") if n < 0 else (self._back[:n], self._back[n:])
            return data
        return await self._take(self._stream.read(n))

    async def readline(self, *, max_line_length: int | None = None) -> bytes:
        begin = b""
        if self._back:
            end = self._back.find(b"\n") + 1
            if end:
                line, self._back = self._back[:end], self._back[end:]
                return line
            begin, self._back = self._back, b""
        return begin + await self._take(self._stream.readline(max_line_length=max_line_length or LINE_MAX_BYTES))

    def at_eof(self) -> bool:
        return not self._back and self._stream.at_eof()

    def unread_data(self, data: bytes) -> None:
        self._back = data + self._back

    async def _take(self, reading: Awaitable[bytes]) -> bytes:
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            async with asyncio.timeout(self._limits.idle_seconds):
                data = await reading
        except TimeoutError:
            raise Refused(ErrorCode.TOO_SLOW) from None
        self._waited_seconds += clock() - began
        self.read_bytes += len(data)
        if self.read_bytes - self.payload_bytes > self._limits.overhead_bytes:
            raise Refused(ErrorCode.TOO_LARGE, "The form around the package is too large")
        slow = self.read_bytes < self._waited_seconds * self._limits.minimum_bytes_per_second
        if slow and self._waited_seconds > self._limits.grace_seconds:
            raise Refused(ErrorCode.TOO_SLOW)
        return data
