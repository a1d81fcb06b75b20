"""Fetches a package to disk: configured origins only, no redirects, bounded in size and time, hashed on the way."""

import asyncio
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from pac.agentkit.runtime.faults import DeploymentFailed, shown_url
from pac.agentkit.runtime.wire import DeployRequest

CHUNK_BYTES = 1024 * 1024
PAUSE_SECONDS = 0.5
DEFAULT_PORTS = {"http": 80, "https": 443}
TRY_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

Origin = tuple[str, str, int]


class Digest(Protocol):
    def update(self, data: bytes, /) -> None: ...
    def hexdigest(self) -> str: ...


class TryAgain(Exception):  # noqa: N818 - an order to the loop, not an error
    """This attempt failed in a way that may pass."""


def origin_of(url: str) -> Origin:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port or DEFAULT_PORTS.get(parts.scheme, 0)


@dataclass(frozen=True)
class Downloader:
    session: aiohttp.ClientSession
    origins: frozenset[Origin]
    limit_bytes: int
    attempts: int
    timeout_seconds: float

    async def fetch(self, request: DeployRequest, target: Path) -> None:
        """Leaves the package at `target`; the caller removes the file, also after DeploymentFailed."""
        url, sha256 = request.package_url, request.package_sha256
        if url is None:
            raise DeploymentFailed("packageUrl is required")
        if origin_of(url) not in self.origins:
            raise DeploymentFailed(f"Packages are not fetched from this origin: {shown_url(url)}")
        found = await self._attempts(url, target)
        if sha256 is not None and found != sha256.lower():
            raise DeploymentFailed(f"SHA256 verification failed. Expected: {sha256.lower()} Got: {found}")

    async def _attempts(self, url: str, target: Path) -> str:
        reason = ""
        for attempt in range(self.attempts):
            if attempt:
                await asyncio.sleep(PAUSE_SECONDS * 2 ** (attempt - 1))
            try:
                async with asyncio.timeout(self.timeout_seconds):
                    return await self._attempt(url, target)
            except TryAgain as fault:
                reason = str(fault)
            except TimeoutError:
                reason = f"no end after {self.timeout_seconds:g} s"
            except (aiohttp.ClientError, ConnectionError) as fault:
                reason = type(fault).__name__  # its text may hold the whole URL
        raise DeploymentFailed(f"Failed to fetch package after {self.attempts} attempts: {reason} for {shown_url(url)}")

    async def _attempt(self, url: str, target: Path) -> str:
        async with self.session.get(URL(url, encoded=True), allow_redirects=False) as answer:
            where = shown_url(url)
            if answer.status in TRY_AGAIN:
                raise TryAgain(f"status {answer.status}")
            if 300 <= answer.status < 400:  # noqa: PLR2004 - the class of redirects
                text = f"Failed to fetch package: {where} redirects (status {answer.status}), which is not followed"
                raise DeploymentFailed(text)
            if answer.status != 200:  # noqa: PLR2004 - anything else is no package
                raise DeploymentFailed(f"Failed to fetch package: status {answer.status} for {where}")
            if (answer.content_length or 0) > self.limit_bytes:
                raise self._too_large(where)
            return await self._stream(answer, target, where)

    async def _stream(self, answer: aiohttp.ClientResponse, target: Path, where: str) -> str:
        digest = hashlib.sha256()
        size = 0
        file = await asyncio.to_thread(_open_new, target)
        try:
            async for chunk in answer.content.iter_chunked(CHUNK_BYTES):
                size += len(chunk)
                if size > self.limit_bytes:
                    raise self._too_large(where)
                await asyncio.to_thread(_take, file, digest, chunk)
        finally:
            await asyncio.to_thread(file.close)
        return digest.hexdigest()

    def _too_large(self, where: str) -> DeploymentFailed:
        return DeploymentFailed(f"The package at {where} is larger than {self.limit_bytes} bytes")


def _open_new(target: Path) -> BinaryIO:
    return os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")


def _take(file: BinaryIO, digest: Digest, chunk: bytes) -> None:
    file.write(chunk)
    digest.update(chunk)
