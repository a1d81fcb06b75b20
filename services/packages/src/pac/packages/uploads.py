"""The stream in: a form whose file goes to S3 and to a temporary file at once, whatever the order of its parts.

Memory stays flat. The temporary file always goes; the staged object goes too, unless it was said to stay.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from uuid import uuid4

import structlog
from aiohttp import BodyPartReader, MultipartReader, hdrs, web
from aiohttp.http_exceptions import BadHttpMessage

from pac.contracts.errors import ErrorCode, Refused
from pac.contracts.packages import Problem
from pac.eventlog.crashpoints import reach
from pac.packages.body import BodyLimits, BoundedBody, too_large
from pac.packages.form import FILE, KNOWN, Form, long_part, read_form, repeated_part, unknown_part
from pac.packages.leftovers import Leftovers, remove_file
from pac.servicekit.http import let_body_come
from pac.servicekit.objects import Objects, ObjectsUnavailable

logger = structlog.get_logger(__name__)
PARTS_MAX = 16
FIELD_MAX_BYTES = 64 * 1024
READ_BYTES = 256 * 1024
BLOCK_BYTES = 1024 * 1024
MALFORMED = "The multipart body is malformed or cut short"


@dataclass(frozen=True)
class StagedFile:
    """The package as it came in: `path` until the request ends, `key` as long as somebody refers to it."""

    path: Path
    key: str
    sha256: str
    size_bytes: int


@dataclass
class Received:
    """`keep_staged` is set before a commit whose outcome may stay in doubt: the sweep decides then."""

    form: Form
    file: StagedFile | None
    keep_staged: bool = False
    fields: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def told(self) -> tuple[Mapping[str, bytes], Mapping[str, str]]:
        """What the form says, however it was cut into parts: fields, and the file by its digest."""
        return self.fields, {} if self.file is None else {FILE: self.file.sha256}


@dataclass(frozen=True)
class Uploads:
    objects: Objects
    leftovers: Leftovers
    limits: BodyLimits
    temp_dir: Path
    deadline_seconds: float = 300.0

    @asynccontextmanager
    async def receive(self, request: web.Request, *, staged: bool = True) -> AsyncIterator[Received]:
        """Reads the whole form. Refused for what is not one, is too large or too slow.

        Not `staged`: only looked at. Nothing is stored, noted or kept beyond the context.
        """
        self._refuse_early(request)
        await let_body_come(request)
        key = f"staging/{uuid4()}"
        descriptor, name = tempfile.mkstemp(prefix="upload-", suffix=".apkg", dir=self.temp_dir)
        path = Path(name)
        received: Received | None = None
        store_away = False
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                if staged:
                    await self.leftovers.note(key)
                body = BoundedBody(request.content, self.limits, request.content_length)
                reading = _Reading(self.objects if staged else None, self.limits, body, key, path, file)
                await self._read(reading, request)
            form = read_form(reading.fields, tuple(reading.faults))
            received = Received(form, reading.staged, fields=reading.fields)
            yield received
        except ObjectsUnavailable:
            store_away = True
            raise
        finally:
            remove_file(path)
            # What the store did not answer may be there in part, and would not be there to be removed now.
            if staged and not store_away and (received is None or not received.keep_staged):
                await self._unstage(key)

    def _refuse_early(self, request: web.Request) -> None:
        if request.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise Refused(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Send the package without Content-Encoding")
        if request.content_type != "multipart/form-data" or "boundary" not in request.headers[hdrs.CONTENT_TYPE]:
            raise Refused(ErrorCode.UNSUPPORTED_MEDIA_TYPE, "Send the package as multipart/form-data")
        length = request.content_length
        if length is not None and length > self.limits.file_bytes + self.limits.overhead_bytes:
            raise too_large(self.limits, length)

    async def _read(self, reading: "_Reading", request: web.Request) -> None:
        try:
            async with asyncio.timeout(self.deadline_seconds) as scope:
                await reading.all_parts(request)
        except TimeoutError:
            if scope.expired():
                raise Refused(ErrorCode.TOO_SLOW) from None
            raise

    async def _unstage(self, key: str) -> None:
        """What this cannot remove now, the sweep does: the key stays noted."""
        with suppress(OSError):
            await asyncio.shield(self.leftovers.remove(key))


@dataclass
class _Reading:
    """One form while it comes in; without `objects` its file is only written to `path`."""

    objects: Objects | None
    limits: BodyLimits
    body: BoundedBody
    key: str
    path: Path
    file: FileIO
    fields: dict[str, bytes] = field(default_factory=dict)
    faults: list[Problem] = field(default_factory=list)
    staged: StagedFile | None = None

    async def all_parts(self, request: web.Request) -> None:
        with _well_formed():
            # It asks for a stream and uses these methods of it: read, readline, at_eof, unread_data.
            reader = MultipartReader(request.headers, self.body)  # type: ignore[arg-type]
        for _ in range(PARTS_MAX + 1):
            with _well_formed():
                part = await reader.next()
            if part is None:
                return
            if not isinstance(part, BodyPartReader):
                break
            await self._take(part)
        raise Refused(ErrorCode.INVALID_REQUEST, details=["The form has too many or nested parts"])

    async def _take(self, part: BodyPartReader) -> None:
        name = part.name
        if name is None or name not in KNOWN:
            self.faults.append(unknown_part(name))
            await _dropped(part)
        elif name in self.fields or (name == FILE and self.staged is not None):
            self.faults.append(repeated_part(name))
            await _dropped(part)
        elif name == FILE:
            self.staged = await self._stage(part)
        else:
            self.fields[name] = await _field(part, name, self.faults)

    async def _stage(self, part: BodyPartReader) -> StagedFile:
        async with aclosing(self._blocks(part)) as blocks:
            if self.objects is None:
                return await self._measured(blocks)
            reach("staging.before_put")
            stored = await self.objects.put_stream(self.key, blocks)
            reach("staging.after_put")
        assert stored.sha256 is not None
        return StagedFile(self.path, self.key, stored.sha256, stored.size_bytes)

    async def _measured(self, blocks: AsyncIterator[bytes]) -> StagedFile:
        digest, size_bytes = hashlib.sha256(), 0
        async for block in blocks:
            digest.update(block)
            size_bytes += len(block)
        return StagedFile(self.path, self.key, digest.hexdigest(), size_bytes)

    async def _blocks(self, part: BodyPartReader) -> AsyncGenerator[bytes]:
        """The file's bytes in pieces of about a megabyte, written to the temporary file and counted on the way."""
        pending = bytearray()
        async for chunk in _chunks(part, READ_BYTES):
            self.body.payload_bytes += len(chunk)
            if self.body.payload_bytes > self.limits.file_bytes:
                raise too_large(self.limits, self.body.declared_bytes)
            pending += chunk
            if len(pending) >= BLOCK_BYTES:
                await asyncio.to_thread(_write, self.file, pending)
                yield bytes(pending)
                pending.clear()
        await asyncio.to_thread(_write, self.file, pending)
        yield bytes(pending)


@contextmanager
def _well_formed() -> Iterator[None]:
    """Around calls of aiohttp's reader, whose errors are the client's."""
    try:
        yield
    except (ValueError, AssertionError, RuntimeError, KeyError, BadHttpMessage) as fault:
        logger.info("upload_malformed", fault=type(fault).__name__)
        raise Refused(ErrorCode.INVALID_REQUEST, details=[MALFORMED]) from None


def _write(file: FileIO, block: bytes | bytearray) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]


async def _chunks(part: BodyPartReader, size: int) -> AsyncIterator[bytes]:
    while not part.at_eof():
        with _well_formed():
            chunk = await part.read_chunk(size)
        if chunk:
            yield chunk


async def _field(part: BodyPartReader, name: str, faults: list[Problem]) -> bytes:
    data = bytearray()
    async for chunk in _chunks(part, FIELD_MAX_BYTES):
        if len(data) <= FIELD_MAX_BYTES:
            data += chunk
    if len(data) > FIELD_MAX_BYTES:
        faults.append(long_part(name, FIELD_MAX_BYTES))
        return b""
    return bytes(data)


async def _dropped(part: BodyPartReader) -> None:
    async for _ in _chunks(part, READ_BYTES):
        pass
