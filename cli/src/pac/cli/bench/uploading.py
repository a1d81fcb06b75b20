"""A large package through gateway and packages into the store, beside a bare multipart upload to the same server."""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any
from uuid import uuid4

import aioboto3
from botocore.config import Config

from pac.cli.bench.customers import customers
from pac.cli.bench.ground import Ground
from pac.cli.bench.listening import listening
from pac.cli.bench.measuring import OURS, Options, Result, paired, result
from pac.cli.bench.storage import settings_of
from pac.contracts.topics import ServiceName
from pac.servicekit.objects import PART_BYTES, PARTS_IN_FLIGHT

MEGABYTE = 1_000_000
VERSION = "1.0.0"
PEER = f"aioboto3, multipart, {PARTS_IN_FLIGHT} parts at a time"


async def upload(ground: Ground, options: Options) -> AsyncGenerator[Result]:
    """To the 202, which comes when the bytes are durable; each round an app of its own."""
    topic, servers = ServiceName.DEPLOYMENTS.topic, ground.stack.kafka_servers
    async with (
        customers(ground.whole, options.rounds + 1) as found,
        listening(servers, topic, b"DeploymentCompleted") as ear,
    ):
        content = random.Random(0).randbytes(options.megabytes * MEGABYTE)  # noqa: S311 - does not compress, no secret
        path = found[0].shop.write(VERSION, content)
        del content
        megabytes = path.stat().st_size / MEGABYTE
        left = list(found)

        async def ours() -> float:
            with path.open("rb") as file:
                began = time.perf_counter()
                deployment = await left.pop().send(file, VERSION)
                seconds = time.perf_counter() - began
            await ear.heard_after(began, deployment)  # its steps would disturb the peer
            return megabytes / seconds

        contenders = {OURS: ours, PEER: lambda: _bare(ground, path, megabytes)}
        await paired(1, contenders)
        yield result("upload", "MB/s", PEER, await paired(options.rounds, contenders))


async def _bare(ground: Ground, path: Path, megabytes: float) -> float:
    settings = settings_of(ground)
    where = {"Bucket": settings.bucket, "Key": f"bench/{uuid4()}"}
    session = aioboto3.Session(
        settings.access_key_id, settings.secret_access_key.get_secret_value(), region_name=settings.region
    )
    # No checksums of its own: S3 servers of other makers do not know them, and ours sends none either.
    config = Config(s3={"addressing_style": "path"}, request_checksum_calculation="when_required")
    async with session.client("s3", endpoint_url=settings.endpoint_url, config=config) as client:
        began = time.perf_counter()
        await _multipart(client, where, path)
        seconds = time.perf_counter() - began
        await client.delete_object(**where)
    return megabytes / seconds


async def _multipart(client: Any, where: dict[str, str], path: Path) -> None:
    opened = await client.create_multipart_upload(**where)
    upload_id, places = opened["UploadId"], asyncio.Semaphore(PARTS_IN_FLIGHT)

    async def send(number: int, part: bytes) -> dict[str, Any]:
        try:
            sent = await client.upload_part(**where, UploadId=upload_id, PartNumber=number, Body=part)
        finally:
            places.release()
        return {"PartNumber": number, "ETag": sent["ETag"]}

    with path.open("rb") as file:
        sending: list[asyncio.Task[dict[str, Any]]] = []
        while part := file.read(PART_BYTES):
            await places.acquire()
            sending.append(asyncio.create_task(send(len(sending) + 1, part)))
        parts = await asyncio.gather(*sending)
    await client.complete_multipart_upload(**where, UploadId=upload_id, MultipartUpload={"Parts": parts})
