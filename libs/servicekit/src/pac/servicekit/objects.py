"""One bucket of an S3 server: what packages and runtime-notifier need of it, and how its outages are told."""

import asyncio
import base64
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self
from urllib.parse import quote

import aioboto3
import aiohttp
import structlog
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict
from yarl import URL

from pac.servicekit.settings import Settings

logger = structlog.get_logger(__name__)
PART_BYTES: Final = 8 * 1024 * 1024
PARTS_IN_FLIGHT: Final = 2
CHUNK_BYTES: Final = 1024 * 1024
DELETE_SECONDS: Final = 30.0
BINARY: Final = "application/octet-stream"
_SERVER_ERROR, _THROTTLED = 500, 429
_DELETED = frozenset({200, 204, 404})
_MISSING = frozenset({"NoSuchKey", "404", "NotFound"})
_NO_UPLOAD = _MISSING | {"NoSuchUpload"}
_NO_BUCKET = _MISSING | {"NoSuchBucket"}


class ObjectsUnavailable(OSError):  # noqa: N818 - says what is the matter
    """The object store is away: wait and try again. It is not known whether the last write happened."""


class ObjectMissing(LookupError):  # noqa: N818 - says what is the matter
    """There is no object of this key."""


class ObjectChanged(ValueError):  # noqa: N818 - says what is the matter
    """An object is not what it was said to be."""


class ObjectsSettings(Settings):
    model_config = SettingsConfigDict(frozen=True)
    endpoint_url: str = Field(validation_alias="S3_ENDPOINT_URL")
    public_endpoint_url: str | None = Field(default=None, validation_alias="S3_PUBLIC_ENDPOINT_URL")
    bucket: str = Field(validation_alias="S3_BUCKET")
    access_key_id: str = Field(validation_alias="AWS_ACCESS_KEY_ID")
    secret_access_key: SecretStr = Field(validation_alias="AWS_SECRET_ACCESS_KEY")
    region: str = Field(default="us-east-1", validation_alias="AWS_REGION")


@dataclass(frozen=True)
class Stored:
    """An object as it was written or found. `sha256` is known for what this class wrote."""

    key: str
    size_bytes: int
    sha256: str | None = None
    etag: str = ""


@contextmanager
def _translated(key: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _MISSING:
            raise ObjectMissing(key) from None
        if status >= _SERVER_ERROR or status == _THROTTLED or code in {"RequestTimeout", "SlowDown"}:
            raise ObjectsUnavailable(f"the object store answered {status} {code}") from None
        raise
    except (HTTPClientError, aiohttp.ClientError, TimeoutError) as error:
        raise ObjectsUnavailable(f"the object store does not answer ({type(error).__name__})") from None
    except BotoCoreError as error:
        if "onnect" in type(error).__name__ or "Timeout" in type(error).__name__:
            raise ObjectsUnavailable(f"the object store does not answer ({type(error).__name__})") from None
        raise


@dataclass
class Objects:
    """`async with Objects(settings) as objects:`; one client for the process. Signed addresses are never logged."""

    settings: ObjectsSettings
    part_bytes: int = PART_BYTES
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _client: Any = None
    _signer: Any = None

    async def __aenter__(self) -> Self:
        session = aioboto3.Session(
            aws_access_key_id=self.settings.access_key_id,
            aws_secret_access_key=self.settings.secret_access_key.get_secret_value(),
            region_name=self.settings.region,
        )
        config = Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=3,
            read_timeout=30,
            retries={"max_attempts": 2, "mode": "standard"},
            max_pool_connections=16,
        )
        endpoint = self.settings.endpoint_url
        public = self.settings.public_endpoint_url or endpoint
        self._client = await self._stack.enter_async_context(session.client("s3", endpoint_url=endpoint, config=config))
        self._signer = (
            self._client
            if public == endpoint
            else await self._stack.enter_async_context(session.client("s3", endpoint_url=public, config=config))
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    # ---- writing ----------------------------------------------------------------------------------------------------

    async def put_bytes(self, key: str, content: bytes, *, content_type: str = BINARY) -> Stored:
        return await self._put(key, content, hashlib.sha256(content).hexdigest(), content_type)

    async def _put(self, key: str, content: bytes, digest: str, content_type: str) -> Stored:
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        with _translated(key):
            answer = await self._client.put_object(
                Bucket=self.settings.bucket,
                Key=key,
                Body=content,
                ContentMD5=md5,
                ContentType=content_type,
                Metadata={"sha256": digest},
            )
        return Stored(key, len(content), digest, str(answer.get("ETag", "")))

    async def put_stream(self, key: str, chunks: AsyncIterator[bytes]) -> Stored:
        """Writes as it comes: at most three parts in memory. What fails, for whatever reason, leaves nothing behind.

        The object appears when the last part is there; one of a single part costs a single request, and until a part
        is full the store is asked for nothing. What `chunks` raises is raised here.
        """
        digest, size, buffer = hashlib.sha256(), 0, bytearray()

        async def full_parts() -> AsyncGenerator[bytes]:
            nonlocal size
            async for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                buffer.extend(chunk)
                while len(buffer) >= self.part_bytes:
                    part = bytes(memoryview(buffer)[: self.part_bytes])
                    del buffer[: self.part_bytes]
                    yield part

        async with aclosing(full_parts()) as parts:
            if (first := await anext(parts, None)) is None:
                return await self._put(key, bytes(buffer), digest.hexdigest(), BINARY)
            async with self._multipart(key) as upload:
                await upload.add(first)
                async for part in parts:
                    await upload.add(part)
                if buffer:
                    await upload.add(bytes(buffer))
                etag = await upload.complete()
        return Stored(key, size, digest.hexdigest(), etag)

    @asynccontextmanager
    async def _multipart(self, key: str) -> AsyncIterator["_Multipart"]:
        with _translated(key):
            opened = await self._client.create_multipart_upload(Bucket=self.settings.bucket, Key=key)
        upload = _Multipart(self._client, self.settings.bucket, key, opened["UploadId"])
        try:
            yield upload
        finally:
            if not upload.completed:
                # Also when we are being cancelled; what this misses, the sweep finds.
                await asyncio.shield(upload.abort())

    async def copy(self, source: str, target: str, *, sha256: str) -> Stored:
        """A copy inside the bucket, read again and compared. Raises ObjectMissing, ObjectChanged."""
        with _translated(source):
            await self._client.copy_object(
                Bucket=self.settings.bucket,
                Key=target,
                CopySource={"Bucket": self.settings.bucket, "Key": source},
            )
        return await self.expect(target, sha256=sha256)

    async def delete(self, key: str) -> None:
        """Deleting what is not there is not an error."""
        with _translated(key):
            try:
                await self._client.delete_object(Bucket=self.settings.bucket, Key=key)
            except ClientError as error:
                if str(error.response.get("Error", {}).get("Code", "")) not in _MISSING:
                    raise

    async def permit_to_delete(self, key: str, seconds: int) -> str:
        """A signed address that deletes the object, and that the store itself refuses when `seconds` are over.

        For whoever may delete only for a while: a process that is held up after it has asked does no harm later.
        """
        where = {"Bucket": self.settings.bucket, "Key": key}
        url: str = await self._client.generate_presigned_url("delete_object", Params=where, ExpiresIn=seconds)
        return url

    async def delete_permitted(self, key: str, permit: str) -> None:
        """As `delete`. Raises ObjectsUnavailable also when the permit is over."""
        timeout = aiohttp.ClientTimeout(total=DELETE_SECONDS)
        with _translated(key):
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.delete(URL(permit, encoded=True), allow_redirects=False) as answer,
            ):
                status = answer.status
        if status not in _DELETED:
            raise ObjectsUnavailable(f"the object store answered {status} to a permitted delete")

    async def abandon(self, key: str) -> None:
        """As `delete`, and ends uploads of it that nobody finished."""
        with _translated(key):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self.settings.bucket, Prefix=key
            )
            async for page in pages:
                for upload in page.get("Uploads", []):
                    if upload["Key"] == key:
                        await self._client.abort_multipart_upload(
                            Bucket=self.settings.bucket, Key=key, UploadId=upload["UploadId"]
                        )
        await self.delete(key)

    # ---- reading ----------------------------------------------------------------------------------------------------

    async def head(self, key: str) -> Stored:
        """Raises ObjectMissing."""
        with _translated(key):
            found = await self._client.head_object(Bucket=self.settings.bucket, Key=key)
        return Stored(
            key, int(found["ContentLength"]), found.get("Metadata", {}).get("sha256"), str(found.get("ETag", ""))
        )

    async def expect(self, key: str, *, sha256: str) -> Stored:
        """Reads all of it. Raises ObjectMissing; ObjectChanged if it has another hash."""
        digest, size = hashlib.sha256(), 0
        async for chunk in self.chunks(key):
            digest.update(chunk)
            size += len(chunk)
        if digest.hexdigest() != sha256:
            raise ObjectChanged(f"{key} is not what was stored")
        return Stored(key, size, sha256)

    async def chunks(self, key: str) -> AsyncIterator[bytes]:
        with _translated(key):
            found = await self._client.get_object(Bucket=self.settings.bucket, Key=key)
            body = found["Body"]
            async with body:
                while chunk := await body.content.read(CHUNK_BYTES):
                    yield chunk

    async def get_to_file(self, key: str, path: Path, *, sha256: str | None = None) -> Stored:
        """Writes the object to `path`. Raises ObjectMissing; ObjectChanged if it has another hash; no file then."""
        digest, size, whole = hashlib.sha256(), 0, False
        file: BinaryIO = await asyncio.to_thread(path.open, "wb")
        try:
            async for chunk in self.chunks(key):
                digest.update(chunk)
                size += len(chunk)
                await asyncio.to_thread(file.write, chunk)
            if sha256 is not None and digest.hexdigest() != sha256:
                raise ObjectChanged(f"{key} is not what was stored")
            whole = True
        finally:
            await asyncio.to_thread(file.close)
            if not whole:
                await asyncio.to_thread(path.unlink, missing_ok=True)
        return Stored(key, size, digest.hexdigest())

    async def get_bytes(self, key: str, *, max_bytes: int = 64 * 1024 * 1024) -> bytes:
        """The whole object. Raises ObjectMissing; ObjectChanged if it is larger than expected."""
        content = bytearray()
        async for chunk in self.chunks(key):
            content += chunk
            if len(content) > max_bytes:
                raise ObjectChanged(f"{key} is larger than {max_bytes} bytes")
        return bytes(content)

    # ---- addresses --------------------------------------------------------------------------------------------------

    async def presigned_get(self, key: str, seconds: int, *, filename: str | None = None) -> str:
        """An address that lets anybody read the object for a while: a secret."""
        parameters = {"Bucket": self.settings.bucket, "Key": key}
        if filename is not None:
            parameters["ResponseContentDisposition"] = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        url: str = await self._signer.generate_presigned_url("get_object", Params=parameters, ExpiresIn=seconds)
        return url

    def url(self, key: str) -> str:
        """The object's address, not signed."""
        base = (self.settings.public_endpoint_url or self.settings.endpoint_url).rstrip("/")
        return f"{base}/{self.settings.bucket}/{quote(key, safe='/-_.~')}"

    # ---- keeping ----------------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """For readiness. Raises ObjectsUnavailable when the store is away."""
        with _translated(self.settings.bucket):
            await self._client.head_bucket(Bucket=self.settings.bucket)

    async def ensure_bucket(self) -> bool:
        """Makes the bucket; False if it was there. Raises ObjectsUnavailable when the store is away."""
        with _translated(self.settings.bucket):
            try:
                await self._client.head_bucket(Bucket=self.settings.bucket)
            except ClientError as error:
                if str(error.response.get("Error", {}).get("Code", "")) not in _NO_BUCKET:
                    raise
                await self._client.create_bucket(Bucket=self.settings.bucket, **place_of(self.settings.region))
                return True
        return False

    async def sweep_uploads(self, *, older_than: timedelta) -> int:
        """Aborts multipart uploads that nobody finished; returns how many. Some servers call all of them new."""
        limit, aborted = datetime.now(UTC) - older_than, 0
        with _translated(self.settings.bucket):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self.settings.bucket)
            async for page in pages:
                for upload in page.get("Uploads", []):
                    if upload["Initiated"] < limit:
                        stale = _Multipart(self._client, self.settings.bucket, upload["Key"], upload["UploadId"])
                        await stale.abort()
                        aborted += 1
        return aborted


def place_of(region: str) -> dict[str, Any]:
    """What a new bucket is to be told: Amazon's endpoint of any other region refuses one that names none (its API
    reference, CreateBucket), and that of us-east-1 refuses its own name.
    """
    return {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}


@dataclass
class _Multipart:
    """One multipart upload; at most PARTS_IN_FLIGHT parts are on their way at a time."""

    client: Any
    bucket: str
    key: str
    upload_id: str
    parts: list["asyncio.Task[dict[str, Any]]"] = field(default_factory=list)
    completed: bool = False

    async def add(self, content: bytes) -> None:
        flying = [part for part in self.parts if not part.done()]
        while len(flying) >= PARTS_IN_FLIGHT:
            done, still = await asyncio.wait(flying, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                part.result()
            flying = list(still)
        self.parts.append(asyncio.create_task(self._send(len(self.parts) + 1, content)))

    async def _send(self, number: int, content: bytes) -> dict[str, Any]:
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        with _translated(self.key):
            answer = await self.client.upload_part(
                Bucket=self.bucket,
                Key=self.key,
                UploadId=self.upload_id,
                PartNumber=number,
                Body=content,
                ContentMD5=md5,
            )
        return {"PartNumber": number, "ETag": answer["ETag"]}

    async def complete(self) -> str:
        parts = await asyncio.gather(*self.parts)
        with _translated(self.key), self._unless_unheard():
            answer = await self.client.complete_multipart_upload(
                Bucket=self.bucket, Key=self.key, UploadId=self.upload_id, MultipartUpload={"Parts": parts}
            )
        self.completed = True
        return str(answer.get("ETag", ""))

    @contextmanager
    def _unless_unheard(self) -> Iterator[None]:
        """The client repeats what was not answered; a repeated completion finds no upload, and no more is known."""
        try:
            yield
        except ClientError as error:
            if str(error.response.get("Error", {}).get("Code", "")) in _NO_UPLOAD:
                raise ObjectsUnavailable("the upload is no longer there, its completion was not heard of") from None
            raise

    async def abort(self) -> None:
        for part in self.parts:
            part.cancel()
        await asyncio.gather(*self.parts, return_exceptions=True)
        try:
            await self.client.abort_multipart_upload(Bucket=self.bucket, Key=self.key, UploadId=self.upload_id)
        except (ClientError, BotoCoreError) as fault:
            logger.info("upload_not_aborted", error=type(fault).__name__)
